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
from intake.leads import scans
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
def firm(clamd: ClamdServer, start: Callable[..., Intake]) -> Intake:
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
def test_a_lead_is_saved_before_its_cv_is_scanned(firm: Intake, clamd: ClamdServer) -> None:
    clean, bad = firm.submitted(CV=("cv", b"a CV")), firm.submitted(CV=("cv", b"x" * 300_000 + EICAR))
    large, fits = (firm.submitted(CV=("cv", bytes(STREAM_MAX_BYTES + more))) for more in (1, 0))
    assert {known(firm, lead_id)["scan_state"] for lead_id in (clean, bad, large, fits)} == {"scanning"}
    assert firm.count(outbox_mail) == 12, "nobody's mail waits for a scan"
    with scanning(firm):
        assert settle(firm, clean, bad, large, fits) == [
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


def test_quarantined_cvs_need_force_and_downloads_are_recorded(firm: Intake) -> None:
    lead_id = firm.submitted(CV=("cv", EICAR))
    path = f"/internal/leads/{lead_id}/cv-download"
    for method in ("GET", "HEAD"):
        waiting = firm.client.request(method, path)
        assert waiting.status_code == 409
    assert firm.client.get(path).json()["title"] == "CV being scanned"
    assert "try again later" in firm.client.get(path).json()["detail"]
    assert firm.client.get(path, params={"force": "true"}).content == EICAR
    with scanning(firm):
        settle(firm, lead_id)
    for query in ("", "?force=false"):
        refused = firm.client.get(path + query, headers={"If-None-Match": "*"})
        assert (refused.status_code, refused.json()["title"]) == (409, "CV quarantined")
        assert SIGNATURE in refused.json()["detail"]
    assert firm.client.head(path, params={"force": "true"}).status_code == 200
    assert firm.client.get(path, params={"force": "true"}).content == EICAR
    assert firm.client.get(path, params={"force": "perhaps"}).status_code == 422
    assert recorded(firm) == [
        ("quarantine-download", lead_id, "not scanned yet"),
        ("quarantine-download", lead_id, SIGNATURE),
    ]


def test_cvs_too_large_to_scan_need_force_with_a_scanner(firm: Intake, start: Callable[..., Intake]) -> None:
    lead_id = firm.submitted(CV=("cv", b"a CV"))
    firm.write(lambda c: c.execute(update(cv).values(scan_state="too-large-to-scan")))
    path = f"/internal/leads/{lead_id}/cv-download"
    for method in ("GET", "HEAD"):
        assert firm.client.request(method, path, headers={"Range": "bytes=0-0"}).status_code == 409
    refused = firm.client.get(path).json()
    assert refused["title"] == "CV too large to scan"
    assert refused["detail"] == f"the CV of lead {lead_id} was too large to scan; use force to download it anyway"
    assert recorded(firm) == []
    assert firm.client.get(path, params={"force": "true"}).content == b"a CV"
    assert recorded(firm) == [("quarantine-download", lead_id, "too large to scan")]
    without = start(database_url=firm.settings.database_url)
    assert without.client.get(path, headers=firm.bearer(1)).content == b"a CV"
    assert recorded(firm)[1:] == [("download", lead_id, None)]


def test_each_download_is_recorded_before_its_first_byte(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    path = f"/internal/leads/{lead_id}/cv-download"
    attorney.head(path)
    attorney.get(path, headers={"If-None-Match": "*"})
    attorney.get(path, headers={"Range": "bytes=999-"})
    assert recorded(intake) == []
    attorney.get(path)
    attorney.get(path, headers={"Range": "bytes=3-"})
    assert recorded(intake) == [("download", lead_id, None)], "what goes on within the hour is the same download"
    attorney.get(path)
    assert recorded(intake) == [("download", lead_id, None)] * 2
    columns = select(audit.c.user_id, audit.c.client, audit.c.request_id)
    row = intake.read(lambda c: c.execute(columns).first())
    assert row.user_id is not None
    assert row.request_id is not None
    intake.write(lambda c: c.execute(text("ALTER TABLE audit RENAME TO away")))
    assert attorney.get(path).status_code in (500, 503), "what can't be recorded is not given out"


def test_scans_wait_while_clamd_is_unavailable(
    firm: Intake, clamd: ClamdServer, caplog: pytest.LogCaptureFixture
) -> None:
    clamd.stop()
    lead_id = firm.submitted(CV=("cv", EICAR))
    with scanning(firm) as scanner:
        wait_for(lambda: scanner.last_error)
        assert f"clamd at {clamd.url} can't be reached" in str(scanner.last_error)
        assert known(firm, lead_id)["scan_state"] == "scanning"
        clamd.start()
        assert settle(firm, lead_id) == [("quarantined", SIGNATURE)]
        wait_for(lambda: scanner.last_error is None)
    assert "no CV is scanned, next attempt in 1 s" in caplog.text
    assert f"the CV of lead {lead_id} is quarantined: {SIGNATURE}" in caplog.text


def test_readyz_reports_an_unavailable_clamd(firm: Intake, clamd: ClamdServer) -> None:
    clamd.stop()
    firm.submitted()
    with TestClient(create_app(firm.settings)) as client:
        wait_for(lambda: "can't be reached" in client.get("/readyz").json().get("scan", ""))


@pytest.mark.parametrize("word", ["confusing", "cutting"])
def test_a_failed_scan_is_retried_without_delaying_others(
    firm: Intake, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    odd, other = firm.submitted(CV=("cv", word.encode())), firm.submitted(CV=("cv", b"a CV"))
    with scanning(firm):
        assert settle(firm, other) == [("clean", None)]
    assert known(firm, odd)["scan_state"] == "scanning"
    assert f"the CV of lead {odd} is not scanned" in caplog.text
    attempts = firm.read(lambda c: c.execute(select(cv.c.scan_attempts).where(cv.c.lead_id == odd)).scalar_one())
    assert attempts >= 1


def test_a_damaged_cv_is_logged_without_delaying_others(firm: Intake, caplog: pytest.LogCaptureFixture) -> None:
    damaged, other = firm.submitted(CV=("cv", b"one")), firm.submitted(CV=("cv", b"two"))
    firm.write(lambda c: c.execute(update(cv).where(cv.c.lead_id == damaged).values(sha256="0" * 64)))
    with scanning(firm):
        assert settle(firm, other) == [("clean", None)]
    assert "is damaged" in caplog.text


def test_a_scan_is_claimed_once_until_its_lease_expires(firm: Intake) -> None:
    lead_id = firm.submitted()
    first = scans.claim(firm.database)
    assert first is not None
    assert (first.lead_id, first.attempts) == (lead_id, 1)
    assert scans.claim(firm.database) is None
    firm.write(lambda c: c.execute(update(cv).values(scan_claimed_until=Now(plus_s=-1))))
    second = scans.claim(firm.database)
    assert second is not None
    assert second.attempts == 2
    assert firm.settings.clamd is not None
    assert scans.scan(firm.database, firm.settings.clamd, first, is_stopping=lambda: False) is None, "it is not its own"
    assert known(firm, lead_id)["scan_state"] == "scanning"
    scans.release(firm.database, second)
    assert scans.scan(firm.database, firm.settings.clamd, second, is_stopping=lambda: False) is None
    third = scans.claim(firm.database)
    assert third is not None
    assert third.attempts == 2
    scans.postpone(firm.database, third)
    assert scans.claim(firm.database) is None


def test_concurrent_scanners_scan_each_cv_once(firm: Intake, clamd: ClamdServer) -> None:
    ids = [firm.submitted(CV=("cv", b"x" * (number + 1))) for number in range(8)]
    with scanning(firm), scanning(firm):
        assert set(settle(firm, *ids)) == {("clean", None)}
    assert sorted(clamd.sizes) == list(range(1, 9))


def test_a_shutdown_does_not_wait_for_clamd(firm: Intake, clamd: ClamdServer) -> None:
    clamd.answering.clear()
    firm.submitted()
    began = time.monotonic()
    with scanning(firm):
        wait_for(lambda: clamd.sizes)
        threading.Timer(1, clamd.answering.set).start()
    assert time.monotonic() - began < 9


def test_without_clamd_no_scan_is_queued_and_queued_ones_wait(firm: Intake, start: Callable[..., Intake]) -> None:
    waiting = firm.submitted()
    without = start(database_url=firm.settings.database_url)
    assert Workers(without.settings, without.database, Metrics()).last_scan_error is None
    later = without.submitted()
    assert [known(firm, lead_id)["scan_state"] for lead_id in (waiting, later)] == ["scanning", "unscanned"]
    with scanning(firm):
        assert settle(firm, waiting) == [("clean", None)]


def test_queued_scans_are_found_by_an_index(firm: Intake) -> None:
    def plan(connection: Connection) -> str:
        is_postgresql = connection.dialect.name == "postgresql"
        if is_postgresql:
            connection.execute(text("SET LOCAL enable_seqscan = off"))  # a table with nothing in it is read whole
        statement = str(scans.due().compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        how = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{how} {statement}"))

    assert "ix_cv_scan_pending" in firm.read(plan)


def test_a_claim_takes_one_scan_under_any_plan(firm: Intake) -> None:
    for n in range(5):
        firm.submitted(email=f"{n}@example.com")

    def work(connection: Connection) -> int:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(NESTED)
        return len(connection.execute(scans.take("token")).all())

    assert firm.write(work) == 1
