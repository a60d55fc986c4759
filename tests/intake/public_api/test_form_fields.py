"""POST /leads/ with the fields, consents and signs of spam of the firm's form."""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import select

from intake.database.schema import confirmed_mailbox, lead, lead_consent, lead_field, outbox_mail
from intake.form import timestamps
from intake.form.definition import load_definition
from intake.form.timestamps import FormKey
from tests.conftest import Intake
from tests.intake.mail.test_outbox import claim
from tests.intake.public_api.forms import CV, control, hidden, page, send
from tests.intake.public_api.test_unknown_fields import counted

DEFINITION = """
languages = ["en", "de"]
privacy_url = "https://firm.example/privacy"
privacy_version = "2026-11"
[texts.en]
privacy = "We store it."
[texts.de]
privacy = "Wir speichern es."
[[fields]]
key = "matter"
type = "select"
label = {en = "Matter", de = "Anliegen"}
options = [{value = "tax", label = {en = "Tax", de = "Steuern"}}]
[[fields]]
key = "story"
type = "long_text"
label = {en = "What happened?", de = "Was ist passiert?"}
[[fields]]
key = "phone"
type = "phone"
label = {en = "Phone", de = "Telefon"}
[[fields]]
key = "born"
type = "date"
label = {en = "Born", de = "Geboren"}
[[fields]]
key = "urgent"
type = "checkbox"
label = {en = "Urgent", de = "Dringend"}
[[consents]]
key = "newsletter"
label = {en = "News", de = "Neuigkeiten"}
"""
ANSWERS = {"matter": "tax", "story": "It rained.\r\nThen 2 dogs came.", "phone": "020 7946 0000", "urgent": "on"}
STORED = {"matter": "tax", "phone": "020 7946 0000", "story": "It rained.\nThen 2 dogs came.", "urgent": "yes"}


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock of timestamps, because a busy machine takes seconds for a request."""
    now = time.time()
    monkeypatch.setattr(timestamps, "time", SimpleNamespace(time=lambda: now))


@pytest.fixture
def form(tmp_path: Path) -> Path:
    """A definition of a form with fields and a consent."""
    (tmp_path / "form.toml").write_text(DEFINITION, encoding="utf-8")
    return tmp_path / "form.toml"


@pytest.fixture
def asking(start: Callable[..., Intake], form: Path) -> Intake:
    """The service with that form."""
    return start(form=form)


def hosted(intake: Intake, *, age_s: float = 60.0) -> dict[str, str]:
    """Return the hidden fields of a hosted form that was opened `age_s` ago."""
    key, now = FormKey.from_database(intake.database), vars(timestamps)["time"].time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timestamps, "time", SimpleNamespace(time=lambda: now - age_s))
        return {"timestamp": key.sign(), key.honeypot: ""}


def errors(response: Response) -> list[tuple[str, str]]:
    assert response.status_code == 422, response.text
    return [(error["field"], error["code"]) for error in response.json()["errors"]]


def test_errors_are_in_the_order_of_the_form(asking: Intake) -> None:
    files = [("phone", ("phone.txt", b"020")), ("photo", ("photo.png", b"x"))]
    body = {
        "newsletter": ["on", "on"],
        "born": "soon",
        "matter": "none",
        "CV": "text",
        "email": "ada",
        "l_name": "Lovelace",
    }
    found = errors(asking.client.post("/leads/", data=body, files=files))
    assert [field for field, _ in found] == ["f_name", "email", "matter", "phone", "born", "CV", "newsletter", "photo"]


def test_the_page_of_a_form_elsewhere_has_the_labels_of_the_fields(asking: Intake) -> None:
    headers = {"Accept": "text/html"}
    body = {"email": "ada@example.com", "born": "soon", "newsletter": "maybe"}
    answer = asking.client.post("/leads/", data=body, files={"CV": ("cv.exe", b"")}, headers=headers)
    labels = ["First name", "Last name", "Born", "CV", "News"]
    assert re.findall("<strong><bdi>(.*?)</bdi>", answer.text) == labels


def stored(intake: Intake, table: Any) -> list[Mapping[str, Any]]:
    order = [table.c.lead_id, table.c.key]
    return list(intake.read(lambda c: c.execute(select(table).order_by(*order)).mappings().all()))


def suspicion(intake: Intake) -> list[str | None]:
    return list(intake.read(lambda c: c.scalars(select(lead.c.suspect).order_by(lead.c.id)).all()))


def mails(intake: Intake) -> list[tuple[str, str, str | None]]:
    columns = outbox_mail.c.kind, outbox_mail.c.state, outbox_mail.c.last_error
    return [tuple(row) for row in intake.read(lambda c: c.execute(select(*columns).order_by(outbox_mail.c.id)).all())]


def test_values_are_stored_with_the_version_of_their_field(asking: Intake, form: Path) -> None:
    lead_id = asking.submitted(**ANSWERS, born="  ")
    rows = stored(asking, lead_field)
    assert {row["key"]: row["value"] for row in rows} == STORED
    versions = {field.key: field.version for field in load_definition(form).fields}
    assert {row["key"]: row["version"] for row in rows} == {key: versions[key] for key in STORED}
    assert {row["lead_id"] for row in rows} == {lead_id}


def test_errors_have_codes_and_follow_those_of_the_standard_fields(asking: Intake) -> None:
    answer = asking.submit(matter="x", story="a\0", phone="12", born="1.1.2000", urgent="maybe", f_name="")
    assert errors(answer) == [
        ("f_name", "required"),
        ("matter", "not_one_of"),
        ("story", "control_characters"),
        ("phone", "not_a_phone"),
        ("born", "not_a_date"),
        ("urgent", "not_one_of"),
    ]
    assert errors(asking.submit(story="x" * 21_000)) == [("story", "too_long")]
    assert asking.submit(story="\U0001f600" * 5_000).status_code == 204


def test_required_fields(start: Callable[..., Intake], form: Path) -> None:
    form.write_text(DEFINITION.replace('key = "matter"', 'key = "matter"\nrequired = true'), encoding="utf-8")
    intake = start(form=form)
    assert errors(intake.submit()) == [("matter", "required")]
    assert intake.submit(matter="tax").status_code == 204


def test_fields_without_a_definition_are_ignored_and_counted(asking: Intake) -> None:
    asking.submitted(matter="tax", colour="red")
    assert counted(asking) == 1
    assert len(stored(asking, lead_field)) == 1


def test_answers_belong_to_an_idempotent_submission_if_they_were_sent(asking: Intake) -> None:
    def submit(key: str, **fields: str) -> int:
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", **fields}
        files, headers = {"CV": ("cv.pdf", b"%PDF")}, {"Idempotency-Key": key}
        return asking.client.post("/leads/", data=form, files=files, headers=headers).status_code

    assert [submit("one"), submit("one", matter=""), submit("one", language="de")] == [204, 204, 204]
    assert submit("one", matter="tax") == 422
    assert [submit("two", matter="tax"), submit("two", matter="tax"), submit("two", newsletter="on")] == [204, 204, 422]
    assert asking.count(lead) == 2


def test_a_hosted_form_requires_the_acknowledgement_and_stores_its_text(asking: Intake, form: Path) -> None:
    shown = hosted(asking)
    assert errors(asking.submit(**shown, language="de")) == [("privacy", "required")]
    asking.submitted(**shown, language="de", privacy="on", newsletter="on")
    newsletter, privacy = stored(asking, lead_consent)
    assert (privacy["key"], privacy["version"], privacy["language"]) == ("privacy", "2026-11", "de")
    assert privacy["text_sha256"] == load_definition(form).privacy_sha256("de")
    assert (newsletter["key"], newsletter["language"]) == ("newsletter", "de")
    assert newsletter["text_sha256"] == hashlib.sha256(b"Neuigkeiten").hexdigest()
    [language] = asking.read(lambda c: c.scalars(select(lead.c.language)).all())
    assert language == "de"


def test_an_acknowledged_text_that_has_changed_since_has_no_version(asking: Intake) -> None:
    asking.submitted(privacy="a" * 64, newsletter="b" * 64, language="fr")
    newsletter, privacy = stored(asking, lead_consent)
    assert (privacy["text_sha256"], privacy["version"], privacy["language"]) == ("a" * 64, None, "en")
    assert (newsletter["text_sha256"], newsletter["version"], newsletter["language"]) == ("b" * 64, None, "en")


def test_the_page_sends_the_text_that_it_shows(start: Callable[..., Intake], form: Path) -> None:
    before = start(form=form)
    opened = page(before)
    ticks = {name: control(opened, name)["value"] for name in ("newsletter", "privacy")}
    form.write_text(re.sub('"News"', '"News, and calls"', form.read_text()).replace("We store it.", "We sell it."))
    after = start(form=form, database_url=before.settings.database_url)
    shown_again = send(after, own=hidden(opened), **ticks, f_name="").text
    assert not any("checked" in control(shown_again, name) for name in ticks), "nobody ticked the new texts"
    assert send(after, own=hidden(opened), **ticks).status_code == 303
    newsletter, privacy = stored(after, lead_consent)
    assert newsletter["text_sha256"] == hashlib.sha256(b"News").hexdigest() == ticks["newsletter"]
    assert privacy["text_sha256"] == ticks["privacy"]
    assert (newsletter["version"], privacy["version"]) == (None, None)


def test_other_clients_need_no_acknowledgement(asking: Intake) -> None:
    asking.submitted(**ANSWERS)
    assert stored(asking, lead_consent) == []


def test_without_a_privacy_notice_nothing_is_acknowledged(intake: Intake) -> None:
    intake.submitted(**hosted(intake), privacy="on")
    assert stored(intake, lead_consent) == []


def test_a_filled_honeypot_or_a_quick_submission_marks_a_lead(intake: Intake) -> None:
    honeypot = FormKey.from_database(intake.database).honeypot
    intake.submitted(**{honeypot: "http://spam.example"})
    intake.submitted(**hosted(intake, age_s=2.9), email="b@example.com")
    intake.submitted(**{**hosted(intake, age_s=2.9), honeypot: "x"}, email="c@example.com")
    assert suspicion(intake) == ["honeypot", "too_fast", "honeypot"]
    assert {mail[1:] for mail in mails(intake)} == {("suppressed", "suppressed: the lead is suspect")}
    assert len(mails(intake)) == 9
    assert intake.count(confirmed_mailbox) == 0


@pytest.mark.parametrize("age_s", [3.0, 60.0, 30 * 86_400.0, -60.0])
def test_slow_submissions_and_clocks_ahead_mark_nothing(intake: Intake, age_s: float) -> None:
    intake.submitted(**hosted(intake, age_s=age_s))
    assert suspicion(intake) == [None]
    assert {mail[1] for mail in mails(intake)} == {"queued"}


def test_missing_and_forged_signs_mark_nothing(intake: Intake) -> None:
    honeypot = FormKey.from_database(intake.database).honeypot
    for n, fields in enumerate([{}, {"timestamp": "forged"}, {"timestamp": ""}, {honeypot: " "}]):
        intake.submitted(email=f"{n}@example.com", **fields)
    assert suspicion(intake) == [None] * 4


def test_a_suspect_lead_takes_no_slot_from_the_persons_next_one(intake: Intake) -> None:
    intake.submitted(**hosted(intake, age_s=1.0))
    intake.submitted(**hosted(intake), f_name="Ada Augusta")
    assert [mail[1] for mail in mails(intake) if mail[0] == "confirmation"] == ["suppressed", "queued"]


def test_the_confirmation_is_in_the_language_of_the_form(asking: Intake) -> None:
    asking.submitted(language="de")
    asking.submitted(language="fr", email="b@example.com")
    snippet = {"f_name": "Ada", "l_name": "Lovelace", "email": "c@example.com", "matter": "tax"}
    asking.client.post("/leads/?lang=de", data=snippet, files={"CV": CV}).raise_for_status()
    found = [mail.language for mail in claim(asking) if mail.kind == "confirmation"]
    assert found == ["de", None, "de"]


def test_form_only_refuses_other_clients(start: Callable[..., Intake]) -> None:
    intake = start(form_only=True)
    shown = hosted(intake)
    honeypot = FormKey.from_database(intake.database).honeypot
    refused: list[dict[str, str]] = [
        {},
        {"timestamp": shown["timestamp"]},
        {honeypot: ""},
        {"timestamp": "forged", honeypot: ""},
    ]
    for fields in refused:
        assert errors(intake.submit(**fields)) == [("timestamp", "form_only")]
    assert intake.submit(**shown).status_code == 204
    text = intake.client.post("/leads/?lang=de", data={}, files={"CV": CV}, headers={"Accept": "text/html"}).text
    assert '<a href="/?lang=de">' in text
    assert "Zurück" not in text
    assert "faults" not in text.partition("</style>")[2]
