"""POST /internal/persons/erase."""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text, update
from starlette.testclient import TestClient

from intake.audit import LOCAL_ACTOR
from intake.cv_text.runner import Extraction
from intake.cvs import store
from intake.database import Database
from intake.database.schema import (
    audit,
    change,
    confirmed_mailbox,
    cv,
    cv_content,
    cv_text,
    lead,
    lead_event,
    lead_words,
    outbox_mail,
    submission_key,
)
from intake.database.secure_delete import mark_deletion
from intake.errors import DatabaseUnavailable, StorageUnavailable
from intake.leads import cv_texts, data_subjects, erasure, listing
from intake.leads.models import TextState
from intake.leads.new_lead import mailbox_of
from intake.leads.normalization import normalize_key
from intake.mail import admin as mail_admin
from intake.mail import outbox
from tests.conftest import Intake
from tests.intake.workers.test_mail import wait_for

MARK = "Zaphodmark"  # in all fields of a marked person
SIGNS = "𓀀𓁐𓂀𓃒"  # in a marked person's last name; the index of prefixes has parts of them
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
EVERYTHING = (cv, cv_content, cv_text, lead, lead_event, lead_words, outbox_mail, submission_key, confirmed_mailbox)


@pytest.fixture
def admin(intake: Intake) -> TestClient:
    """A client authenticated as an administrator."""
    return administered(intake)


def administered(intake: Intake) -> TestClient:
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    return intake.client


def erase(client: TestClient, email: str, **more: Any) -> Any:
    return client.post("/internal/persons/erase", json={"email": email, **more})


def erased_ids(client: TestClient, email: str) -> list[int]:
    answer = erase(client, email)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["leads"]]


def numbers(intake: Intake, column: Any) -> list[Any]:
    return list(intake.read(lambda c: c.scalars(select(column).order_by(column)).all()))


def marked(intake: Intake, n: int = 0, **fields: Any) -> int:
    """Submit a lead of a person whose fields all contain the mark."""
    given = {"email": f"{MARK}@example.com", "f_name": MARK, "l_name": f"{MARK}-{n}{SIGNS}", **fields}
    content = f"%PDF-1.4 {MARK} ".encode() * (1 + n % 7 * 900)  # from a few bytes to many pages
    files, headers = {"CV": (f"{MARK}.pdf", content)}, {"Idempotency-Key": f"{MARK}-{n}"}
    answer = intake.client.post("/leads/", data=given, files=files, headers=headers)
    assert answer.status_code == 204, answer.text
    return numbers(intake, lead.c.id)[-1]  # type: ignore[no-any-return]


def test_all_data_of_one_person_is_erased(intake: Intake, admin: TestClient) -> None:
    other = intake.submitted(email="grace@example.com", f_name="Grace")
    ids = [marked(intake, n) for n in range(3)]
    moved = admin.post("/internal/leads/state", json={"ids": [*ids, other], "status": "ENGAGED"}).json()
    answer = erase(admin, f"{MARK}@example.com")
    assert (answer.status_code, answer.json()["leads"]) == (200, [{"id": i, "state": "ENGAGED"} for i in ids])
    assert {name: answer.json()[name] for name in ("cvs", "mails", "mails_sent", "objects_left", "complete")} == {
        "cvs": 3,
        "mails": 9,
        "mails_sent": 0,
        "objects_left": 0,
        "complete": True,
    }
    for table in EVERYTHING:
        column = table.c.id if table is lead else table.c.lead_id
        assert set(numbers(intake, column)) <= {other}, table.name
    assert intake.count(outbox_mail) == 3
    assert admin.get(f"/internal/leads/{other}").status_code == 200
    assert numbers(intake, change.c.count) == [4], moved
    assert erase(admin, f"{MARK}@example.com").status_code == 404


def test_the_audit_trail_keeps_the_erasure_but_not_the_person(intake: Intake, admin: TestClient) -> None:
    ids = [marked(intake, n) for n in range(2)]
    request_id = erase(admin, f"{MARK}@example.com").headers["x-request-id"]
    query = select(audit.c.lead_id, audit.c.user_id, audit.c.request_id, audit.c.detail, audit.c.subject_id)
    rows = intake.read(lambda c: c.execute(query.where(audit.c.action == "erasure").order_by(audit.c.id)).all())
    assert [tuple(row) for row in rows] == [(number, 1, request_id, None, None) for number in ids]


def test_erasure_frees_the_external_id_and_the_confirmation_cap(intake: Intake, admin: TestClient) -> None:
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", "external_id": "crm-1", "notify": "true"}
    file = {"CV": ("cv.pdf", b"%PDF-1.4 a CV")}
    first = admin.post("/internal/leads/", data=form, files=file).json()["id"]
    assert erased_ids(admin, "ada@example.com") == [first]
    again = admin.post("/internal/leads/", data=form, files=file)
    assert (again.status_code, again.json()["id"] > first) == (201, True)
    states = intake.read(lambda c: c.scalars(select(outbox_mail.c.state)).all())
    assert set(states) == {"queued"}


def extract_texts(intake: Intake) -> None:
    """Store a text for each pending CV: of a marked person, one with the mark."""
    while (job := cv_texts.claim(intake.database)) is not None:
        found = listing.get_lead(intake.database, job.lead_id)
        words = f"{MARK} {SIGNS}" if MARK.lower() in found.email.lower() else "another's text"
        result = Extraction(state="done", text=words * 500)
        assert cv_texts.record_text(intake.database, job, found, result) is TextState.DONE


def raw_bytes(intake: Intake, *folders: Path) -> bytes:
    file = intake.settings.sqlite_file
    assert file is not None
    files = [*file.parent.glob(f"{file.name}*"), *(found for folder in folders for found in folder.iterdir())]
    return b"\n".join(one.read_bytes() for one in files if one.is_file())


def is_left_in(content: bytes) -> bool:
    """Return whether the content has the mark or one of its encodings."""
    return MARK.lower().encode() in content.lower() or any(sign.encode() in content for sign in SIGNS)


def texts(intake: Intake) -> str:
    """Return every column of every table in PostgreSQL."""

    def read(connection: Any) -> str:
        tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        rows = [row for name in tables for row in connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars()]
        contents = connection.scalars(select(cv_content.c.content)).all()
        return "\n".join([*rows, *(bytes(one).decode("latin-1") for one in contents)])

    return str(intake.read(read))


@pytest.mark.parametrize("where", ["database", "store"])
def test_no_byte_of_an_erased_person_is_left(start: Callable[..., Intake], tmp_path: Path, where: str) -> None:
    folder = tmp_path / "CVs"
    intake = start(cv_store=folder.as_uri() if where == "store" else None)
    client = administered(intake)
    for n in range(30):
        marked(intake, n)
        intake.submitted(email=f"{n % 9}@example.com", CV=("cv.pdf", b"another's " * (n % 5 * 300 + 1)))
    extract_texts(intake)
    is_sqlite = intake.settings.sqlite_file is not None
    assert not is_sqlite or MARK.lower().encode() in raw_bytes(intake), "in the index, too"
    ids = [one["id"] for one in erase(client, f"{MARK}@example.com", dry_run=True).json()["leads"]]
    for state in ("REACHED_OUT", "ENGAGED", "PENDING"):
        client.post("/internal/leads/state", json={"ids": ids, "status": state})
    answer = erase(client, f"{MARK}@EXAMPLE.com").json()
    assert (len(answer["leads"]), answer["complete"]) == (30, True)
    assert answer["swept"] is is_sqlite
    left = raw_bytes(intake, *([folder] if where == "store" else [])) if is_sqlite else texts(intake).encode()
    assert b"another's text" in left
    assert not is_left_in(left)
    if where == "store":
        assert len(list(folder.iterdir())) == 30, "CVs of other persons"


def test_copies_of_moved_rows_are_erased(intake: Intake, admin: TestClient) -> None:
    """Splitting and merging pages leaves copies that deleting rows alone does not remove."""
    letters = random.Random(1)
    rows = []
    for n in range(1500):
        who = MARK if n % 3 else "Other"
        name = f"{letters.choice('abcdefgh')}{who}" * letters.randrange(1, 8) + SIGNS * (who == MARK)
        texts = dict.fromkeys(("f_name", "l_name", "CV_name", "f_name_key", "l_name_key"), name)
        address = f"{who}@example.com"
        rows.append({**texts, "email": address, "email_key": normalize_key(address), "state": "PENDING"})
    intake.write(lambda c: c.execute(insert(lead), rows))
    assert len(erased_ids(admin, f"{MARK}@example.com")) == 1000
    assert intake.count(lead) == 500
    if intake.settings.sqlite_file is not None:
        assert not is_left_in(raw_bytes(intake))


def test_an_erasure_that_another_overtakes_finds_no_lead(
    intake: Intake, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked(intake)
    find = data_subjects.find_leads

    def find_and_lose(*arguments: Any) -> Any:
        monkeypatch.undo()
        found = find(*arguments)
        erased_ids(admin, f"{MARK}@example.com")
        return found

    monkeypatch.setattr(data_subjects, "find_leads", find_and_lose)
    assert erase(admin, f"{MARK}@example.com").status_code == 404


def test_a_writer_elsewhere_delays_the_removal_and_it_is_tried_again(intake: Intake, admin: TestClient) -> None:
    if intake.settings.sqlite_file is None:
        return
    marked(intake)
    other = Database(intake.settings, connections=1)

    def hold(connection: Any) -> None:
        connection.execute(update(lead).values(f_name="x"))
        with pytest.raises(DatabaseUnavailable):
            intake.database.purge_deleted()  # so that maintenance tries again soon

    intake.write(mark_deletion)
    other.write(hold)
    other.close()
    assert intake.database.purge_deleted()


def test_a_reader_delays_the_removal_of_deleted_data(intake: Intake, admin: TestClient) -> None:
    if intake.settings.sqlite_file is None:
        assert intake.database.purge_deleted() is False  # PostgreSQL removes deleted rows itself
        return
    marked(intake)
    reader = Database(intake.settings, connections=1)

    def work(connection: Any) -> dict[str, Any]:
        connection.execute(select(func.count()).select_from(lead)).scalar_one()
        return erase(admin, f"{MARK}@example.com").json()  # type: ignore[no-any-return]

    answer = reader.read(work)
    reader.close()
    assert (answer["complete"], answer["swept"]) == (True, False)
    assert MARK.encode() in raw_bytes(intake)
    assert erasure.purge_deleted_data(intake.database, max_bytes=None)
    assert not is_left_in(raw_bytes(intake))


def test_a_large_file_is_not_rewritten_automatically(
    intake: Intake, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "MAX_REWRITE_BYTES", 4096)
    marked(intake)
    answer = erase(admin, f"{MARK}@example.com").json()
    assert (answer["complete"], answer["swept"]) == (True, False)
    assert erasure.purge_deleted_data(intake.database, max_bytes=None) is (intake.settings.sqlite_file is not None)


HOSTILE = [
    "*@example.com",
    "ad*@example.com",
    "ad%@example.com",
    "a_a@example.com",
    "strasse@example.com",
    "ﬁona@example.com",  # a ligature, which case folding expands to two letters
]


@pytest.mark.parametrize("email", HOSTILE)
def test_addresses_have_no_wildcards_and_are_not_casefolded(intake: Intake, admin: TestClient, email: str) -> None:
    for other in ("ada@example.com", "straße@example.com", "fiona@example.com"):
        intake.submitted(email=other)
    answer = erase(admin, email)
    assert answer.status_code in (404, 422), answer.text
    assert intake.count(lead) == 3


def test_a_star_in_an_address_is_literal(intake: Intake, admin: TestClient) -> None:
    intake.submitted()
    star = intake.submitted(email="*@example.com")
    assert erased_ids(admin, "*@example.com") == [star]
    assert intake.count(lead) == 1


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("Ada@Example.com", "aDA@eXAMPLE.COM"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ADA@BÜCHER.example"),
        ("rene\u0301@example.com", "REN\u00c9@example.com"),
        ("straße@example.com", "STRAßE@example.com"),
        (" ada@example.com ", "\tada@example.com"),
    ],
)
def test_addresses_are_normalized(intake: Intake, admin: TestClient, stored: str, asked: str) -> None:
    number = intake.submitted(email=stored)
    assert erased_ids(admin, asked) == [number]


def test_only_one_of_two_persons_with_the_same_key_is_erased(intake: Intake, admin: TestClient) -> None:
    ids: dict[str, list[int]] = {"straße@example.com": [], "strasse@example.com": []}
    for n in range(6):
        email = list(ids)[n % 2]
        ids[email].append(intake.submitted(email=email))
    assert erased_ids(admin, "strasse@example.com") == ids["strasse@example.com"]
    assert numbers(intake, lead.c.id) == ids["straße@example.com"]


@pytest.mark.parametrize(
    "email", ['"ada"@example.com', '"a b"@example.com', "Ada <ada@example.com>", "ada", "a\0@b.de", ""]
)
def test_invalid_addresses_are_422(admin: TestClient, email: str) -> None:
    answer = erase(admin, email)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "email")


def test_a_dry_run_erases_nothing(intake: Intake, admin: TestClient) -> None:
    number = marked(intake)
    answer = erase(admin, f"{MARK}@example.com", dry_run=True).json()
    assert answer["leads"] == [{"id": number, "state": "PENDING"}]
    assert (answer["cvs"], answer["mails"], answer["complete"], answer["dry_run"]) == (1, 3, False, True)
    assert intake.count(lead) == 1
    assert "erasure" not in numbers(intake, audit.c.action)


def test_thousands_of_leads_in_bounded_transactions(
    intake: Intake, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "MAX_LEADS", 7)
    monkeypatch.setattr(erasure, "MAX_BYTES", 30_000)
    ids = [marked(intake, n) for n in range(25)]
    batches: list[int] = []
    whole = erasure._erase

    def counted(database: Any, some: Any, cause: Any) -> Any:
        batches.append(len(some))
        return whole(database, some, cause)

    monkeypatch.setattr(erasure, "_erase", counted)
    assert erased_ids(admin, f"{MARK}@example.com") == ids
    assert sum(batches) == 25
    assert min(batches) >= 1
    assert max(batches) < 7, "their CVs are large"


def test_an_erasure_over_its_time_limit_continues_in_the_next_request(
    intake: Intake, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "MAX_LEADS", 2)
    monkeypatch.setattr(erasure, "MAX_DURATION_S", 0.0)
    ids = [marked(intake, n) for n in range(3)]
    first, second = (erase(admin, f"{MARK}@example.com").json() for _ in range(2))
    assert [one["id"] for one in first["leads"] + second["leads"]] == ids
    assert (first["complete"], first["swept"], second["complete"]) == (False, False, True)


def test_an_unavailable_store_leaves_orphans_and_reports_them(
    start: Callable[..., Intake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = start(cv_store=(tmp_path / "CVs").as_uri())
    client = administered(intake)
    for n in range(3):
        marked(intake, n)
    tried = []

    def unavailable(ref: store.ObjectRef) -> None:
        tried.append(ref)
        raise StorageUnavailable("unavailable")

    monkeypatch.setattr(store, "delete", unavailable)
    assert erase(client, f"{MARK}@example.com").json()["objects_left"] == 3
    assert len(tried) == 1, "an unavailable store is tried once per transaction"
    assert intake.count(cv) == 0


def test_erasing_a_mail_during_its_delivery(intake: Intake, admin: TestClient) -> None:
    marked(intake)
    other = intake.submitted(email="grace@example.com")
    held = outbox.claim(intake.database, owner="here", limit=10, alert_interval_s=60.0)
    digest = next(mail for mail in held if mail.lead_count == 2)
    assert erase(admin, f"{MARK}@example.com").status_code == 200
    outbox.extend_leases(intake.database, held)
    for mail in held:
        assert outbox.record_sent(intake.database, mail) is (mail.lead_id == other)
    intake.write(lambda c: c.execute(text("DELETE FROM alerted_address")))
    claimed = outbox.claim(intake.database, owner="here", limit=10, alert_interval_s=60.0)
    assert [mail.lead_id for mail in claimed if mail.recipient == digest.recipient] == [other], (
        "included in another digest"
    )


def test_concurrent_submissions_are_erased_or_complete(
    intake: Intake, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "MAX_LEADS", 3)
    for n in range(12):
        intake.submitted(f_name=f"A{n}")
    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(intake.submit, f_name=f"B{n}") for n in range(12)]
        erasures = [pool.submit(erase, admin, "ada@example.com") for _ in range(2)]
    assert {one.result().status_code for one in sent} == {204}
    assert {one.result().status_code for one in erasures} <= {200, 404}
    left = set(numbers(intake, lead.c.id))
    assert set(numbers(intake, cv.c.lead_id)) == left
    assert Counter(numbers(intake, outbox_mail.c.lead_id)) == dict.fromkeys(left, 3)
    gone = intake.read(lambda c: c.scalars(select(audit.c.lead_id).where(audit.c.action == "erasure")).all())
    assert len(gone) == len(set(gone)) == 24 - len(left)
    if left:
        assert erase(admin, "ada@example.com").status_code == 200


def test_an_erasure_waits_for_locked_leads(intake: Intake, admin: TestClient) -> None:
    if intake.settings.sqlite_file is not None:
        return  # SQLite has one writer at a time
    number = marked(intake)
    with ThreadPoolExecutor(1) as pool:
        other = Database(intake.settings, connections=1)

        def hold(connection: Any) -> Any:
            connection.execute(update(lead).where(lead.c.id == number).values(state="ENGAGED"))
            return pool.submit(lambda: erase(admin, f"{MARK}@example.com").json())

        waiting = other.write(hold)
        other.close()
        assert waiting.result()["leads"] == [{"id": number, "state": "ENGAGED"}]


def test_mail_retries_do_not_deadlock_with_erasures(intake: Intake) -> None:
    if intake.settings.sqlite_file is not None:
        return  # SQLite has one writer at a time
    marked(intake)
    first, second = numbers(intake, outbox_mail.c.id)[:2]
    intake.write(lambda c: c.execute(update(outbox_mail).values(state="failed")))
    # the update moves the first row after the second
    intake.write(lambda c: c.execute(update(outbox_mail).where(outbox_mail.c.id == first).values(attempts=9)))
    mailbox = partial(mailbox_of, intake.settings)

    def retry() -> list[str]:
        return mail_admin.retry_mails(intake.database, [first, second], mailbox_of=mailbox, actor=LOCAL_ACTOR)

    with ThreadPoolExecutor(1) as pool:
        other = Database(intake.settings, connections=1)

        def hold(connection: Connection) -> Any:
            """Lock one mail and then the next, as an erasure does."""
            connection.execute(select(outbox_mail.c.id).where(outbox_mail.c.id == first).with_for_update())
            retrying = pool.submit(retry)
            wait_for(lambda: intake.read(lambda c: c.execute(WAITING).scalar_one()) == 1)
            connection.execute(select(outbox_mail.c.id).where(outbox_mail.c.id == second).with_for_update())
            return retrying

        retried = other.write(hold)
        other.close()
        assert retried.result() == ["revived", "revived"]


def test_an_erasure_and_a_claim_of_mails_do_not_deadlock(admin: TestClient, intake: Intake) -> None:
    if intake.settings.sqlite_file is not None:
        return  # SQLite has one writer at a time
    marked(intake)
    change = update(outbox_mail).values(attempts=outbox_mail.c.attempts + 1)
    with ThreadPoolExecutor(1) as pool:
        other = Database(intake.settings, connections=1)

        def claim_and_count(connection: Connection) -> Any:
            """Update mails twice, which makes PostgreSQL lock their lead, too."""
            connection.execute(change)
            erasing = pool.submit(lambda: erase(admin, f"{MARK}@example.com"))
            wait_for(lambda: intake.read(lambda c: c.execute(WAITING).scalar_one()) == 1)
            time.sleep(1.2)  # after the erasure has checked for a deadlock, so that this transaction would be ended
            connection.execute(change)
            return erasing

        erasing = other.write(claim_and_count)
        other.close()
        assert erasing.result().json()["complete"]
    assert intake.count(lead) == 0


def test_only_administrators_are_allowed(attorney: TestClient, intake: Intake) -> None:
    marked(intake)
    for path in ("erase", "export"):
        answer = attorney.post(f"/internal/persons/{path}", json={"email": f"{MARK}@example.com"})
        assert answer.status_code == 403
    assert intake.count(lead) == 1
    del attorney.headers["Authorization"]
    assert erase(attorney, f"{MARK}@example.com").status_code == 401
