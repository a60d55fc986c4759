"""Shutdown during uploads."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import SECRET, Databases
from tests.system.programs import Service, clean_environment
from tests.system.test_connections import BODY, CHUNKED, POST
from tests.system.wire import Wire


@pytest.fixture
def service(databases: Databases, tmp_path: Path) -> Service:
    settings = {"INTAKE_DATABASE_URL": databases.migrated_url(), "INTAKE_JWT_SECRET": SECRET}
    settings |= {"INTAKE_MIN_BODY_RATE": "1", "INTAKE_SHUTDOWN_GRACE": "12s"}
    return Service(clean_environment(tmp_path, **settings), tmp_path, "serve", "--no-worker")


def test_shutdown_finishes_quick_uploads_and_rejects_slow_ones_with_503(service: Service) -> None:
    with service, Wire(service.url) as slow, Wire(service.url) as chunked, Wire(service.url) as quick:
        slow.send(POST + b"Content-Length: 5000000\r\n\r\n" + BODY[:-7])
        chunked.send(CHUNKED + b"10\r\n" + BODY[:16] + b"\r\n")
        quick.send(POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:100])
        time.sleep(0.5)
        service.process.terminate()
        time.sleep(1)
        assert quick.send(BODY[100:]).answer("POST").status == 204
        for _ in range(12):  # a client that is still sending gets the response, not a connection reset
            slow.send(b"x" * 1000)
            time.sleep(0.5)
        ids = []
        for wire in (slow, chunked):
            answer = wire.answer("POST")
            assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Connection"] == "close"
            assert "is stopping" in json.loads(answer.body)["detail"]  # type: ignore[attr-defined]
            ids.append(f" {answer.headers['X-Request-ID']}\n")
        assert service.process.wait(15) == -signal.SIGTERM
        service.stop()
    assert all(one in "".join(service.log) for one in ids)
    assert "Traceback" not in "".join(service.log)
