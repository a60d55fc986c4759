"""Values of the firm's own fields in the internal API: one lead, lists, search, erasure and export."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from intake.cv_text.runner import Extraction
from intake.database.schema import lead_consent, lead_field, lead_words
from intake.leads import cv_texts, erasure, listing, words
from intake.mail.messages import MessageBuilder
from tests.conftest import Intake
from tests.intake.internal_api.test_post_persons_erase import administered
from tests.intake.internal_api.test_post_persons_export import document, exported
from tests.intake.mail.test_outbox import claim
from tests.intake.public_api import test_form_fields as forms
from tests.intake.public_api.test_form_fields import ANSWERS, STORED

asking, form = forms.asking, forms.form


@pytest.fixture
def client(asking: Intake) -> TestClient:
    """An administrator's client on the service with a form."""
    return administered(asking)


def test_one_lead_has_its_fields_and_consents(asking: Intake, client: TestClient) -> None:
    lead_id = asking.submitted(**ANSWERS, newsletter="on", language="de")
    found = client.get(f"/internal/leads/{lead_id}").json()
    assert (found["fields"], found["language"], found["suspect"]) == (STORED, "de", None)
    [consent] = found["consents"]
    assert list(consent) == ["key", "text_sha256", "version", "language", "given_at"]
    assert (consent["key"], consent["language"]) == ("newsletter", "de")


@pytest.mark.parametrize("query", [{}, {"limit": 10}])
def test_lists_include_fields_if_asked(asking: Intake, client: TestClient, query: dict[str, int]) -> None:
    tricky = 'a "quoted" \\ \t </b> Zoë 漢\u2028x'
    asking.submitted(**ANSWERS)
    asking.submitted(story=tricky)
    asking.submitted()
    leads = client.get("/internal/leads/", params={**query, "include": ["fields"]}).json()
    assert [one["fields"] for one in leads] == [STORED, {"story": tricky}, {}]
    assert list(leads[0]) == ["id", "email", "f_name", "l_name", "CV_name", "state", "created_at", "fields"]
    both = client.get("/internal/leads/", params={**query, "include": ["fields", "suspect"]}).json()
    assert list(both[0])[-2:] == ["suspect", "fields"]
    assert client.get("/internal/leads/", params={"include": "mails"}).status_code == 422


@pytest.mark.parametrize("query", [{}, {"limit": 4}])
def test_a_page_with_long_fields_is_shorter(
    asking: Intake, client: TestClient, monkeypatch: pytest.MonkeyPatch, query: dict[str, int]
) -> None:
    monkeypatch.setattr(listing, "ROWS_WITH_FIELDS", 1)
    monkeypatch.setattr(listing, "MAX_BYTES_WITH_FIELDS", 450)
    ids = [asking.submitted(story=f"{number} {'long ' * 30}") for number in range(5)]
    answer, found = client.get("/internal/leads/", params={**query, "include": ["fields"]}), list[int]()
    while True:
        page = [one["id"] for one in answer.json()]
        found += page
        if "next" not in answer.links:
            break
        assert len(page) == 2, "the second one exceeds the limit"
        answer = client.get("/internal/leads/" + answer.links["next"]["url"])
    assert found == ids


def test_a_list_without_fields_does_not_read_them(asking: Intake) -> None:
    assert listing._serializer(frozenset()) is listing._SERIALIZER
    plain = listing.list_statement(listing.LeadQuery(), after=None, size=10)
    assert "lead_field" not in str(plain)


def test_fields_that_are_no_longer_defined_stay_visible(
    asking: Intake, start: Callable[..., Intake], client: TestClient
) -> None:
    lead_id = asking.submitted(**ANSWERS)
    later = start(database_url=asking.settings.database_url)
    headers = later.bearer(later.user("later"))
    assert later.client.get(f"/internal/leads/{lead_id}", headers=headers).json()["fields"] == STORED
    [one] = later.client.get("/internal/leads/?include=fields", headers=headers).json()
    assert one["fields"] == STORED


def test_values_are_found_by_their_words(asking: Intake, client: TestClient) -> None:
    lead_id = asking.submitted(**ANSWERS)
    asking.submitted(email="other@example.com")
    found = client.get("/internal/search", params={"q": "dogs lovel"}).json()
    assert [one["id"] for one in found["results"]] == [lead_id]
    assert found["results"][0]["matches"] == [
        {"field": "l_name", "text": "Lovelace", "highlights": [[0, 8]], "page": None},
        {"field": "fields.story", "text": "Then 2 dogs came.", "highlights": [[7, 11]], "page": None},
    ]
    assert [one["id"] for one in client.get("/internal/leads/", params={"q": "rained"}).json()] == [lead_id]


def test_values_are_still_found_after_the_cv_is_read_and_after_indexing_again(
    asking: Intake, client: TestClient
) -> None:
    lead_id = asking.submitted(**ANSWERS)

    def found() -> list[int]:
        return [one["id"] for one in client.get("/internal/leads/", params={"q": "dogs"}).json()]

    job = cv_texts.claim(asking.database)
    assert job is not None
    result = Extraction(state="done", text="the text of the CV")
    cv_texts.record_text(asking.database, job, listing.get_lead(asking.database, lead_id), result)
    assert found() == [lead_id]
    asking.write(lambda c: c.execute(update(lead_words).values(version=0)))
    assert sum(words.index_outdated(asking.database)) == 1
    assert found() == [lead_id]


def test_fields_are_erased_with_their_person(asking: Intake, client: TestClient) -> None:
    asking.submitted(**ANSWERS, newsletter="on")
    other = asking.submitted(email="other@example.com", **ANSWERS, newsletter="on")
    client.post("/internal/persons/erase", json={"email": "ada@example.com"})
    for table in (lead_field, lead_consent):
        assert {row["lead_id"] for row in forms.stored(asking, table)} == {other}
    assert client.get("/internal/search", params={"q": "dogs"}).json()["total"] == 1


def test_fields_are_erased_after_their_retention(asking: Intake, client: TestClient) -> None:
    asking.submitted(**ANSWERS, newsletter="on")
    asking.write(lambda c: c.exec_driver_sql("UPDATE lead SET state_since = '2020-01-01 00:00:00.000000'"))
    assert erasure.purge_all(asking.database, (("PENDING", 1),))[0] == {"PENDING": 1}
    assert asking.count(lead_field) == asking.count(lead_consent) == 0


def test_no_byte_of_an_erased_field_is_left(asking: Intake, client: TestClient) -> None:
    if (file := asking.settings.sqlite_file) is None:
        return
    for n in range(40):
        asking.submitted(email="zz@example.com", story=f"Zaphodmark{n} " * 300, f_name=f"n{n}")
        asking.submitted(story="another", f_name=f"n{n}")
    erased = client.post("/internal/persons/erase", json={"email": "zz@example.com"}).json()
    assert erased["swept"]
    files = [path for path in file.parent.iterdir() if path.name.startswith(file.name) and path.is_file()]
    assert not any(b"Zaphodmark" in path.read_bytes() or b"zaphodmark" in path.read_bytes() for path in files)


def test_an_export_has_fields_with_their_versions_and_consents(asking: Intake, client: TestClient) -> None:
    lead_id = asking.submitted(**ANSWERS, newsletter="on", language="de")
    [found] = document(exported(client))["leads"]
    assert {one["key"]: one["value"] for one in found["fields"]} == STORED
    assert all(set(one) == {"key", "value", "version"} for one in found["fields"])
    assert found["consents"] == client.get(f"/internal/leads/{lead_id}").json()["consents"]
    assert (found["language"], found["suspect"]) == ("de", None)


def test_mails_and_the_audit_trail_contain_no_values(asking: Intake, client: TestClient) -> None:
    answers = {"story": "Zaphodmark and his dogs", "phone": "0123 45678"}
    lead_id = asking.submitted(**answers)
    asking.submitted(**answers, email="b@example.com")
    client.get("/internal/search", params={"q": "Zaphodmark"})
    client.get(f"/internal/leads/{lead_id}")
    builder = MessageBuilder(asking.settings)
    sent = [builder.build(mail) for mail in claim(asking, alert_interval_s=60.0)]
    assert len(sent) == 4, "two confirmations and two digests"
    entries: Any = client.get("/internal/audit").json()
    for text in (*map(bytes.decode, sent), json.dumps(entries)):
        assert "Zaphodmark" not in text
        assert "45678" not in text


def test_a_lead_without_answers(asking: Intake, client: TestClient) -> None:
    lead_id = asking.submitted()
    found = client.get(f"/internal/leads/{lead_id}").json()
    assert (found["fields"], found["consents"], found["language"], found["suspect"]) == ({}, [], None, None)
