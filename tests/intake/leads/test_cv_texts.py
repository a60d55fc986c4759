"""The queue of CV texts: claims, results, scans, and delivery with an audit entry."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update

from intake.audit import Actor
from intake.cv_text import runner, sandbox
from intake.cv_text.runner import Extraction
from intake.database.clock import Now
from intake.database.schema import audit, cv, cv_text, lead
from intake.leads import cv_texts, listing
from intake.leads.cv_texts import TextJob
from intake.leads.models import ScanState, TextState
from intake.metrics import Metrics
from intake.workers import texts
from intake.workers.texts import TextWorker
from tests.conftest import Intake

ENDLESS = """
import sys
from intake.cv_text import sandbox
sandbox.enter(sys.argv[2], cpu_s=int(sys.argv[3]))
while True: pass
"""
TEXT = ("cv.txt", "Ada Lovelace\r\nNaïve".encode())


@contextmanager
def extracting(intake: Intake) -> Iterator[TextWorker]:
    worker = TextWorker(intake.settings.cv_sandbox, intake.database, Metrics())
    worker.start()
    yield worker
    worker.stop()
    worker.join(20)


def row(intake: Intake, lead_id: int) -> dict[str, Any]:
    query = select(cv_text).where(cv_text.c.lead_id == lead_id)
    return dict(intake.read(lambda connection: connection.execute(query).mappings().one()))


def wait_until_settled(intake: Intake, *lead_ids: int) -> list[tuple[str, str | None]]:
    until = time.monotonic() + 60
    while any(row(intake, lead_id)["state"] == "pending" for lead_id in lead_ids):
        assert time.monotonic() < until
        time.sleep(0.05)
    return [(row(intake, lead_id)["state"], row(intake, lead_id)["reason"]) for lead_id in lead_ids]


def claimed(intake: Intake) -> TextJob:
    job = cv_texts.claim(intake.database)
    assert job is not None
    return job


def record(intake: Intake, job: TextJob, words: str = "words") -> TextState | None:
    found = listing.get_lead(intake.database, job.lead_id)
    return cv_texts.record_text(intake.database, job, found, Extraction(state="done", text=words, pages=[0]))


def make_due(intake: Intake) -> None:
    intake.write(lambda connection: connection.execute(update(cv_text).values(next_attempt_at=Now(plus_s=-1))))


def test_each_new_cv_gets_a_text_or_a_reason(intake: Intake) -> None:
    intake.client.headers.update(intake.bearer(intake.user()))
    ids = [
        intake.submitted(CV=TEXT),
        intake.submitted(CV=("cv.pdf", b"%PDF-1.4 damaged")),
        intake.submitted(CV=("cv.png", b"\x89PNG\r\n\x1a\n" + bytes(100))),
    ]
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    ids.append(intake.client.post("/internal/leads/", data=form, files={"CV": TEXT}).json()["id"])
    assert {row(intake, lead_id)["state"] for lead_id in ids} == {"pending"}
    with extracting(intake):
        states = wait_until_settled(intake, *ids)
    assert states == [("done", None), ("failed", "damaged"), ("empty", None), ("done", None)]
    assert row(intake, ids[0])["text"] == "Ada Lovelace\nNaïve"


def test_an_extraction_is_claimed_once_and_the_newest_first(intake: Intake) -> None:
    first, second = intake.submitted(CV=TEXT), intake.submitted(CV=TEXT)
    intake.write(
        lambda c: c.execute(update(cv_text).where(cv_text.c.lead_id == first).values(next_attempt_at=Now(plus_s=-9)))
    )
    assert [claimed(intake).lead_id for _ in range(2)] == [second, first]
    assert cv_texts.claim(intake.database) is None


def test_a_result_counts_only_under_its_own_claim(intake: Intake) -> None:
    intake.submitted(CV=TEXT)
    lost = claimed(intake)
    make_due(intake)  # its lease has expired
    current = claimed(intake)
    assert (lost.lead_id, lost.claim != current.claim) == (current.lead_id, True)
    assert record(intake, lost, "lost") is None
    assert cv_texts.record_failure(intake.database, TextJob(lost.lead_id, lost.claim, 9), "crashed") is None
    assert record(intake, current) is TextState.DONE
    assert record(intake, current, "again") is None
    assert row(intake, lost.lead_id)["text"] == "words"


@pytest.mark.parametrize("changed", [{"sha256": "0" * 64}, {"scan_state": "quarantined"}])
def test_a_result_of_a_cv_that_changed_meanwhile_is_not_stored(intake: Intake, changed: dict[str, str]) -> None:
    lead_id = intake.submitted(CV=TEXT)
    job, found = claimed(intake), listing.get_lead(intake.database, lead_id)
    intake.write(lambda connection: connection.execute(update(cv).values(changed)))
    assert cv_texts.record_text(intake.database, job, found, Extraction(state="done", text="words")) is None
    assert row(intake, lead_id)["text"] is None


def test_the_second_failure_is_final(intake: Intake) -> None:
    lead_id = intake.submitted(CV=TEXT)
    assert cv_texts.record_failure(intake.database, claimed(intake), "timeout") is None
    assert cv_texts.claim(intake.database) is None, "the second attempt comes later"
    make_due(intake)
    assert cv_texts.record_failure(intake.database, claimed(intake), "crashed") is TextState.FAILED
    assert (row(intake, lead_id)["state"], row(intake, lead_id)["reason"]) == ("failed", "crashed")
    make_due(intake)
    assert cv_texts.claim(intake.database) is None


def test_a_final_failure_is_not_repeated(intake: Intake) -> None:
    lead_id = intake.submitted(CV=TEXT)
    assert cv_texts.record_failure(intake.database, claimed(intake), "timeout", is_final=True) is TextState.FAILED
    assert (row(intake, lead_id)["state"], row(intake, lead_id)["reason"]) == ("failed", "timeout")


def set_attempts(intake: Intake, lead_id: int, attempts: int, *, age_s: float) -> None:
    values = {"attempts": attempts, "next_attempt_at": Now(plus_s=-age_s)}
    intake.write(lambda c: c.execute(update(cv_text).where(cv_text.c.lead_id == lead_id).values(values)))


def test_first_attempts_precede_others(intake: Intake) -> None:
    repeated, waiting, newest = (intake.submitted(CV=TEXT) for _ in range(3))
    set_attempts(intake, repeated, 1, age_s=1)
    set_attempts(intake, waiting, 0, age_s=9)
    set_attempts(intake, newest, 0, age_s=5)
    assert [claimed(intake).lead_id for _ in range(3)] == [newest, waiting, repeated]
    assert cv_texts.claim(intake.database) is None


def test_a_released_extraction_does_not_count(intake: Intake) -> None:
    intake.submitted(CV=TEXT)
    for _ in range(5):
        job = claimed(intake)
        assert job.attempts == 1
        cv_texts.release(intake.database, job)


def test_a_file_that_ends_every_worker_is_given_up(intake: Intake) -> None:
    lead_id = intake.submitted(CV=TEXT)
    for _ in range(cv_texts.MAX_CLAIMS):
        claimed(intake)
        make_due(intake)
    job = claimed(intake)
    state = cv_texts.extract(intake.database, job, mode="required", is_stopping=lambda: False)
    assert (state, row(intake, lead_id)["reason"]) == (TextState.FAILED, "crashed")


def test_a_damaged_cv_has_no_text(intake: Intake) -> None:
    lead_id = intake.submitted(CV=TEXT)
    intake.write(lambda connection: connection.execute(update(cv).values(sha256="0" * 64)))
    for _ in range(2):
        cv_texts.extract(intake.database, claimed(intake), mode="required", is_stopping=lambda: False)
        make_due(intake)
    assert (row(intake, lead_id)["state"], row(intake, lead_id)["reason"]) == ("failed", "damaged")


def test_a_text_waits_for_the_scan(start: Callable[..., Intake]) -> None:
    intake = start(clamd="unix:///none")
    clean, bad, large = (intake.submitted(CV=TEXT) for _ in range(3))
    assert cv_texts.claim(intake.database) is None
    results = {clean: ScanState.CLEAN, bad: ScanState.QUARANTINED, large: ScanState.TOO_LARGE}

    def follow(connection: Connection) -> None:
        for lead_id, state in results.items():
            cv_texts.follow_scan(connection, lead_id, state)

    intake.write(follow)
    assert claimed(intake).lead_id == clean
    assert cv_texts.claim(intake.database) is None
    states = [(row(intake, lead_id)["state"], row(intake, lead_id)["reason"]) for lead_id in (bad, large)]
    assert states == [("withheld", "quarantined"), ("withheld", "too-large-to-scan")]


def test_a_quarantine_deletes_the_text_and_ends_the_claim(intake: Intake) -> None:
    lead_id = intake.submitted(CV=TEXT)
    record(intake, claimed(intake))
    intake.write(lambda connection: cv_texts.withhold(connection, lead_id, ScanState.QUARANTINED))
    withheld = row(intake, lead_id)
    assert (withheld["state"], withheld["text"], withheld["pages"]) == ("withheld", None, None)
    other = intake.submitted(CV=TEXT)
    job = claimed(intake)
    intake.write(lambda connection: cv_texts.withhold(connection, other, ScanState.QUARANTINED))
    assert record(intake, job) is None
    assert row(intake, other)["text"] is None


def test_a_text_of_an_erased_lead_is_gone_and_never_stored(intake: Intake) -> None:
    lead_id = intake.submitted(CV=TEXT)
    job, found = claimed(intake), listing.get_lead(intake.database, lead_id)
    intake.write(lambda connection: connection.execute(lead.delete()))
    assert intake.count(cv_text) == 0
    assert cv_texts.record_text(intake.database, job, found, Extraction(state="done", text="words")) is None


@pytest.mark.parametrize("is_first", [True, False])
def test_a_claim_uses_the_index_of_pending_texts(intake: Intake, is_first: bool) -> None:
    intake.submitted(CV=TEXT)

    def plan(connection: Connection) -> str:
        prefix = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        compiled = cv_texts.due(is_first=is_first).compile(connection, compile_kwargs={"literal_binds": True})
        return str(connection.exec_driver_sql(prefix + str(compiled).replace("%", "%%")).all())

    assert "ix_cv_text_pending" in intake.read(plan)


def test_a_delivery_is_recorded_once_per_user_lead_and_hour(intake: Intake) -> None:
    lead_id, users = intake.submitted(CV=TEXT), [intake.user("ada"), intake.user("bob")]
    other = intake.submitted(CV=TEXT)
    for user in users:
        cv_texts.read_text(intake.database, lead_id, actor=Actor(user), is_on=True)
    assert intake.count(audit) == 0, "nothing was delivered"
    for _ in range(2):
        record(intake, claimed(intake))
    for user in [*users, *users]:
        for read in (lead_id, other):
            assert cv_texts.read_text(intake.database, read, actor=Actor(user), is_on=True).text == "words"
    query = select(audit.c.action, audit.c.user_id, audit.c.lead_id).order_by(audit.c.user_id, audit.c.lead_id)
    found = [tuple(entry) for entry in intake.read(lambda connection: connection.execute(query).all())]
    assert found == [("cv-text", user, read) for user in users for read in (lead_id, other)]


def test_a_text_that_somebody_waits_for_is_the_next_one(intake: Intake) -> None:
    first, failed, second = (intake.submitted(CV=TEXT) for _ in range(3))
    set_attempts(intake, first, 0, age_s=9)
    set_attempts(intake, failed, 1, age_s=-60)
    before = row(intake, failed)["next_attempt_at"]
    for lead_id in (first, failed):
        cv_texts.read_text(intake.database, lead_id, actor=Actor(intake.user(f"user{lead_id}")), is_on=True)
    assert [claimed(intake).lead_id for _ in range(2)] == [first, second]
    assert row(intake, failed)["next_attempt_at"] == before, "another attempt waits as before"


def test_pending_texts_are_off_while_extraction_is_off(intake: Intake) -> None:
    lead_id, user = intake.submitted(CV=TEXT), intake.user()
    assert [
        cv_texts.read_text(intake.database, lead_id, actor=Actor(user), is_on=is_on).state for is_on in (True, False)
    ] == ["pending", "off"]
    record(intake, claimed(intake))
    assert cv_texts.read_text(intake.database, lead_id, actor=Actor(user), is_on=False).state == "done"


def test_without_the_required_sandbox_texts_stay_pending(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    lead_id = intake.submitted(CV=TEXT)
    monkeypatch.setattr(sandbox, "missing", lambda: ["seccomp"])
    worker = TextWorker(sandbox.REQUIRED, intake.database, Metrics())
    assert worker.step() > 0
    assert "seccomp" in (worker.last_error or "")
    assert row(intake, lead_id)["state"] == "pending"
    assert row(intake, lead_id)["attempts"] == 0


def test_a_store_that_is_down_costs_no_attempt(start: Callable[..., Intake], tmp_path: Path) -> None:
    folder = tmp_path / "CVs"
    intake = start(cv_store=folder.as_uri())
    lead_id = intake.submitted(CV=TEXT)
    folder.rename(tmp_path / "gone")
    TextWorker(sandbox.REQUIRED, intake.database, Metrics()).step()
    assert (row(intake, lead_id)["state"], row(intake, lead_id)["attempts"]) == ("pending", 0)
    (tmp_path / "gone").rename(folder)
    make_due(intake)
    TextWorker(sandbox.REQUIRED, intake.database, Metrics()).step()
    assert row(intake, lead_id)["state"] == "done"


def test_a_process_that_can_not_start_costs_no_attempt(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    lead_id = intake.submitted(CV=TEXT)
    monkeypatch.setattr(runner, "CHILD", ("/no/such/python",))
    assert TextWorker(sandbox.REQUIRED, intake.database, Metrics()).step() > 0
    assert (row(intake, lead_id)["state"], row(intake, lead_id)["attempts"]) == ("pending", 0)


def test_a_worker_pauses_in_proportion(intake: Intake) -> None:
    intake.submitted(CV=TEXT)
    metrics = Metrics()
    worker = TextWorker(sandbox.REQUIRED, intake.database, metrics)
    started = time.monotonic()
    pause_s = worker.step()
    assert 0 < pause_s <= texts.PAUSE_FACTOR * (time.monotonic() - started)
    assert b'intake_cv_texts_total{outcome="done"} 1.0' in metrics.exposition()


def test_a_file_that_attacks_its_parser_delays_others_by_seconds(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "OTHER_LIMITS", runner.Limits(cpu_s=1))
    monkeypatch.setattr(runner, "CHILD", (sys.executable, "-c", ENDLESS))
    lead_id = intake.submitted(CV=TEXT)
    pause_s = TextWorker(sandbox.REQUIRED, intake.database, Metrics()).step()
    assert 0 < pause_s <= texts.MAX_PAUSE_S
    assert (row(intake, lead_id)["state"], row(intake, lead_id)["reason"]) == ("failed", "timeout")


def test_a_stopping_worker_releases_its_extraction(intake: Intake) -> None:
    lead_id = intake.submitted(CV=TEXT)
    worker = TextWorker(sandbox.REQUIRED, intake.database, Metrics())
    worker.stop()
    worker.step()
    assert (row(intake, lead_id)["state"], row(intake, lead_id)["attempts"]) == ("pending", 0)


def test_a_cv_that_is_missing_in_the_store_delays_no_other(start: Callable[..., Intake], tmp_path: Path) -> None:
    folder = tmp_path / "CVs"
    intake = start(cv_store=folder.as_uri())
    lead_id = intake.submitted(CV=TEXT)
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()
    worker = TextWorker(intake.settings.cv_sandbox, intake.database, Metrics())
    worker.step()
    is_later = select(cv_text.c.next_attempt_at > Now(plus_s=1800.0)).where(cv_text.c.lead_id == lead_id)
    assert (row(intake, lead_id)["attempts"], intake.read(lambda c: bool(c.scalar(is_later)))) == (0, True)
