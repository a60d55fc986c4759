"""CV scans by clamd, and GET /internal/leads/<id>/cv-download?force=."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update
from starlette.testclient import TestClient

from intake.app import create_app
from intake.database.clock import Now
from intake.database.schema import audit, cv, outbox_mail
from intake.leads import cv_texts, scans
from intake.metrics import Metrics
from intake.workers import Workers
from intake.workers.scans import ScanWorker
from tests.clamd_server import SIGNATURE, STREAM_MAX_BYTES, ClamdServer
from tests.conftest import Intake
from tests.files import EICAR
from tests.intake.mail.test_outbox import NESTED


@pytest.fixture
def clamd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClamdServer]:
    server = ClamdServer(getattr(request, "param", None) or tmp_path / "clamd.sock")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def clamd_intake(clamd: ClamdServer, start: Callable[..., Intake]) -> Intake:
    """A service with clamd; tests start the scan worker."""
    intake = start(clamd=clamd.url)
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake


@contextmanager
def scanning(intake: Intake) -> Iterator[ScanWorker]:
    assert intake.settings.clamd is not None
    scanner = ScanWorker(intake.settings.clamd, intake.database, Metrics())
    scanner.start()
    yield scanner
    scanner.stop()
    scanner.join(20)


def known(intake: Intake, lead_id: int) -> dict[str, Any]:
    return dict(intake.client.get(f"/internal/leads/{lead_id}").json()["CV"])


def settle(intake: Intake, *lead_ids: int) -> list[tuple[str, str | None]]:
    until = time.monotonic() + 20
    while any(known(intake, lead_id)["scan_state"] == "scanning" for lead_id in lead_ids):
        assert time.monotonic() < until
        time.sleep(0.02)
    found = [known(intake, lead_id) for lead_id in lead_ids]
    return [(cv["scan_state"], cv["signature"]) for cv in found]


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def recorded(intake: Intake) -> list[tuple[str, int, str | None]]:
    query = select(audit.c.action, audit.c.lead_id, audit.c.detail).order_by(audit.c.id)
    return [tuple(row) for row in intake.read(lambda c: c.execute(query).all())]


@pytest.mark.parametrize("clamd", [None, ("127.0.0.1", 0)], ids=["unix", "tcp"], indirect=True)
def test_a_lead_is_saved_before_its_cv_is_scanned(clamd_intake: Intake, clamd: ClamdServer) -> None:
    clean, bad = clamd_intake.submitted(CV=("cv", b"a CV")), clamd_intake.submitted(CV=("cv", b"x" * 300_000 + EICAR))
    large, fits = (clamd_intake.submitted(CV=("cv", bytes(STREAM_MAX_BYTES + more))) for more in (1, 0))
    assert {known(clamd_intake, lead_id)["scan_state"] for lead_id in (clean, bad, large, fits)} == {"scanning"}
    assert clamd_intake.count(outbox_mail) == 12, "mails do not wait for scans"
    with scanning(clamd_intake):
        assert settle(clamd_intake, clean, bad, large, fits) == [
            ("clean", None),
            ("quarantined", SIGNATURE),
            ("too-large-to-scan", None),
            ("clean", None),
        ]
    assert sorted(clamd.sizes) == [4, 300_000 + len(EICAR), STREAM_MAX_BYTES]


def test_a_cv_in_a_store_is_scanned(clamd: ClamdServer, start: Callable[..., Intake], tmp_path: Path) -> None:
    intake = start(clamd=clamd.url, cv_store=(tmp_path / "CVs").as_uri())
    intake.client.headers.update(intake.bearer(intake.user()))
    ids = [intake.submitted(CV=("cv", content)) for content in (b"a CV", EICAR)]
    with scanning(intake):
        assert settle(intake, *ids) == [("clean", None), ("quarantined", SIGNATURE)]


def test_the_text_of_a_cv_follows_its_scan(clamd_intake: Intake) -> None:
    clean, bad = (clamd_intake.submitted(CV=("cv", content)) for content in (b"a CV", b"bad" + EICAR))
    assert cv_texts.claim(clamd_intake.database) is None
    with scanning(clamd_intake):
        settle(clamd_intake, clean, bad)
    job = cv_texts.claim(clamd_intake.database)
    assert job is not None
    assert job.lead_id == clean
    assert cv_texts.claim(clamd_intake.database) is None
    found = clamd_intake.client.get(f"/internal/leads/{bad}/cv-text").json()
    assert (found["state"], found["reason"], found["text"]) == ("withheld", "quarantined", None)


def test_quarantined_cvs_need_force_and_downloads_are_recorded(clamd_intake: Intake) -> None:
    lead_id = clamd_intake.submitted(CV=("cv", EICAR))
    path = f"/internal/leads/{lead_id}/cv-download"
    for method in ("GET", "HEAD"):
        waiting = clamd_intake.client.request(method, path)
        assert waiting.status_code == 409
    assert clamd_intake.client.get(path).json()["title"] == "CV being scanned"
    assert "try again later" in clamd_intake.client.get(path).json()["detail"]
    assert clamd_intake.client.get(path, params={"force": "true"}).content == EICAR
    with scanning(clamd_intake):
        settle(clamd_intake, lead_id)
    for query in ("", "?force=false"):
        refused = clamd_intake.client.get(path + query, headers={"If-None-Match": "*"})
        assert (refused.status_code, refused.json()["title"]) == (409, "CV quarantined")
        assert SIGNATURE in refused.json()["detail"]
    assert clamd_intake.client.head(path, params={"force": "true"}).status_code == 200
    assert clamd_intake.client.get(path, params={"force": "true"}).content == EICAR
    assert clamd_intake.client.get(path, params={"force": "perhaps"}).status_code == 422
    assert recorded(clamd_intake) == [
        ("quarantine-download", lead_id, "not scanned yet"),
        ("quarantine-download", lead_id, SIGNATURE),
    ]


def test_cvs_too_large_to_scan_need_force_with_a_scanner(clamd_intake: Intake, start: Callable[..., Intake]) -> None:
    lead_id = clamd_intake.submitted(CV=("cv", b"a CV"))
    clamd_intake.write(lambda c: c.execute(update(cv).values(scan_state="too-large-to-scan")))
    path = f"/internal/leads/{lead_id}/cv-download"
    for method in ("GET", "HEAD"):
        assert clamd_intake.client.request(method, path, headers={"Range": "bytes=0-0"}).status_code == 409
    refused = clamd_intake.client.get(path).json()
    assert refused["title"] == "CV too large to scan"
    assert refused["detail"] == f"the CV of lead {lead_id} was too large to scan; use force to download it anyway"
    assert recorded(clamd_intake) == []
    assert clamd_intake.client.get(path, params={"force": "true"}).content == b"a CV"
    assert recorded(clamd_intake) == [("quarantine-download", lead_id, "too large to scan")]
    without = start(database_url=clamd_intake.settings.database_url)
    assert without.client.get(path, headers=clamd_intake.bearer(1)).content == b"a CV"
    assert recorded(clamd_intake)[1:] == [("download", lead_id, None)]


def test_each_download_is_recorded_before_its_first_byte(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    path = f"/internal/leads/{lead_id}/cv-download"
    attorney.head(path)
    attorney.get(path, headers={"If-None-Match": "*"})
    attorney.get(path, headers={"Range": "bytes=999-"})
    assert recorded(intake) == []
    attorney.get(path)
    attorney.get(path, headers={"Range": "bytes=3-"})
    assert recorded(intake) == [("download", lead_id, None)], "ranges within the hour belong to the same download"
    attorney.get(path)
    assert recorded(intake) == [("download", lead_id, None)] * 2
    columns = select(audit.c.user_id, audit.c.client, audit.c.request_id)
    row = intake.read(lambda c: c.execute(columns).first())
    assert row.user_id is not None
    assert row.request_id is not None
    intake.write(lambda c: c.execute(text("ALTER TABLE audit RENAME TO renamed")))
    assert attorney.get(path).status_code in (500, 503), "without an audit entry there is no download"


def test_scans_wait_while_clamd_is_unavailable(
    clamd_intake: Intake, clamd: ClamdServer, caplog: pytest.LogCaptureFixture
) -> None:
    clamd.stop()
    lead_id = clamd_intake.submitted(CV=("cv", EICAR))
    with scanning(clamd_intake) as scanner:
        wait_for(lambda: scanner.last_error)
        assert f"clamd at {clamd.url} can't be reached" in str(scanner.last_error)
        assert known(clamd_intake, lead_id)["scan_state"] == "scanning"
        clamd.start()
        assert settle(clamd_intake, lead_id) == [("quarantined", SIGNATURE)]
        wait_for(lambda: scanner.last_error is None)
    assert "no CV is scanned, next attempt in 1 s" in caplog.text
    assert f"the CV of lead {lead_id} is quarantined: {SIGNATURE}" in caplog.text


def test_readyz_reports_an_unavailable_clamd(clamd_intake: Intake, clamd: ClamdServer) -> None:
    clamd.stop()
    clamd_intake.submitted()
    with TestClient(create_app(clamd_intake.settings)) as client:
        wait_for(lambda: "can't be reached" in client.get("/readyz").json().get("scan", ""))


@pytest.mark.parametrize("word", ["confusing", "cutting"])
def test_a_failed_scan_is_retried_without_delaying_others(
    clamd_intake: Intake, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    odd, other = clamd_intake.submitted(CV=("cv", word.encode())), clamd_intake.submitted(CV=("cv", b"a CV"))
    with scanning(clamd_intake):
        assert settle(clamd_intake, other) == [("clean", None)]
    assert known(clamd_intake, odd)["scan_state"] == "scanning"
    assert f"the CV of lead {odd} is not scanned" in caplog.text
    attempts = clamd_intake.read(
        lambda c: c.execute(select(cv.c.scan_attempts).where(cv.c.lead_id == odd)).scalar_one()
    )
    assert attempts >= 1


def test_a_damaged_cv_is_logged_without_delaying_others(clamd_intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    damaged, other = clamd_intake.submitted(CV=("cv", b"one")), clamd_intake.submitted(CV=("cv", b"two"))
    clamd_intake.write(lambda c: c.execute(update(cv).where(cv.c.lead_id == damaged).values(sha256="0" * 64)))
    with scanning(clamd_intake):
        assert settle(clamd_intake, other) == [("clean", None)]
    assert "is damaged" in caplog.text


def test_a_scan_is_claimed_once_until_its_lease_expires(clamd_intake: Intake) -> None:
    lead_id = clamd_intake.submitted()
    first = scans.claim(clamd_intake.database)
    assert first is not None
    assert (first.lead_id, first.attempts) == (lead_id, 1)
    assert scans.claim(clamd_intake.database) is None
    clamd_intake.write(lambda c: c.execute(update(cv).values(scan_claimed_until=Now(plus_s=-1))))
    second = scans.claim(clamd_intake.database)
    assert second is not None
    assert second.attempts == 2
    assert clamd_intake.settings.clamd is not None
    assert scans.scan(clamd_intake.database, clamd_intake.settings.clamd, first, is_stopping=lambda: False) is None, (
        "the first claim has expired"
    )
    assert known(clamd_intake, lead_id)["scan_state"] == "scanning"
    scans.release(clamd_intake.database, second)
    assert scans.scan(clamd_intake.database, clamd_intake.settings.clamd, second, is_stopping=lambda: False) is None
    third = scans.claim(clamd_intake.database)
    assert third is not None
    assert third.attempts == 2
    scans.postpone(clamd_intake.database, third)
    assert scans.claim(clamd_intake.database) is None


def test_concurrent_scanners_scan_each_cv_once(clamd_intake: Intake, clamd: ClamdServer) -> None:
    ids = [clamd_intake.submitted(CV=("cv", b"x" * (number + 1))) for number in range(8)]
    with scanning(clamd_intake), scanning(clamd_intake):
        assert set(settle(clamd_intake, *ids)) == {("clean", None)}
    assert sorted(clamd.sizes) == list(range(1, 9))


def test_a_shutdown_does_not_wait_for_clamd(clamd_intake: Intake, clamd: ClamdServer) -> None:
    clamd.answering.clear()
    clamd_intake.submitted()
    began = time.monotonic()
    with scanning(clamd_intake):
        wait_for(lambda: clamd.sizes)
        threading.Timer(1, clamd.answering.set).start()
    assert time.monotonic() - began < 9


def test_without_clamd_no_scan_is_queued_and_queued_ones_wait(
    clamd_intake: Intake, start: Callable[..., Intake]
) -> None:
    waiting = clamd_intake.submitted()
    without = start(database_url=clamd_intake.settings.database_url)
    assert Workers(without.settings, without.database, Metrics()).errors["scan"] is None
    later = without.submitted()
    assert [known(clamd_intake, lead_id)["scan_state"] for lead_id in (waiting, later)] == ["scanning", "unscanned"]
    with scanning(clamd_intake):
        assert settle(clamd_intake, waiting) == [("clean", None)]


def test_queued_scans_are_found_by_an_index(clamd_intake: Intake) -> None:
    def plan(connection: Connection) -> str:
        is_postgresql = connection.dialect.name == "postgresql"
        if is_postgresql:
            connection.execute(text("SET LOCAL enable_seqscan = off"))  # an empty table would be scanned
        statement = str(scans.due().compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}"))

    assert "ix_cv_scan_pending" in clamd_intake.read(plan)


def test_a_claim_takes_one_scan_under_any_plan(clamd_intake: Intake) -> None:
    for n in range(5):
        clamd_intake.submitted(email=f"{n}@example.com")

    def work(connection: Connection) -> int:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(NESTED)
        return len(connection.execute(scans.take("token")).all())

    assert clamd_intake.write(work) == 1
