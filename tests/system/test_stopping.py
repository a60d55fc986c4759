"""Draining, and shutdown during uploads."""

import json
import signal
import time
from pathlib import Path

import httpx2
import pytest

from tests.conftest import SECRET, Databases
from tests.system.programs import Service, clean_environment
from tests.system.test_connections import BODY, CHUNKED, POST
from tests.system.wire import Wire

WITHIN_S = 30


def start(databases: Databases, directory: Path, *flags: str, **settings: str) -> Service:
    fixed = {"INTAKE_DATABASE_URL": databases.migrated_url(), "INTAKE_JWT_SECRET": SECRET, "INTAKE_MIN_BODY_RATE": "1"}
    return Service(clean_environment(directory, **fixed, **settings), directory, "serve", "--no-worker", *flags)


@pytest.fixture
def service(databases: Databases, tmp_path: Path) -> Service:
    return start(databases, tmp_path, INTAKE_SHUTDOWN_GRACE="12s")


def ready(service: Service) -> httpx2.Response:
    """Return the response to `/readyz` on a new connection."""
    return httpx2.get(f"{service.url}/readyz")


def upload(service: Service) -> Wire:
    """Begin an upload that does not end."""
    return Wire(service.url).send(POST + b"Content-Length: 5000000\r\n\r\n" + BODY[:-7])


def when_draining(service: Service) -> httpx2.Response:
    """Wait until the service drains, and return the response to `/readyz`."""
    ends_at = time.monotonic() + WITHIN_S
    while (answer := ready(service)).status_code == 200:
        assert time.monotonic() < ends_at, "the service does not drain"
        time.sleep(0.05)
    return answer


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


def test_draining_process_serves_but_is_not_ready_and_closes_connections(databases: Databases, tmp_path: Path) -> None:
    with start(databases, tmp_path, INTAKE_DRAIN="30s") as service, Wire(service.url) as kept:
        service.process.terminate()
        refused = when_draining(service)
        assert (refused.status_code, refused.json()["detail"]) == (503, "the process is stopping")
        assert int(refused.headers["Retry-After"]) > 0
        kept.send(POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        with Wire(service.url) as new:
            new.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            for answer, status in ((kept.answer("POST"), 204), (new.answer(), 200)):
                assert (answer.status, answer.headers.get_all("Connection")) == (status, ["close"])
        service.process.terminate()
        assert service.process.wait(WITHIN_S) == -signal.SIGTERM


@pytest.mark.parametrize("drain", ["60s", "0s"])
@pytest.mark.parametrize("flags", [(), ("--processes", "2")])
def test_second_signal_ends_a_stop_at_once_and_interrupted_requests_get_503(
    databases: Databases, tmp_path: Path, flags: tuple[str, ...], drain: str
) -> None:
    with start(databases, tmp_path, *flags, INTAKE_DRAIN=drain) as service, upload(service) as interrupted:
        time.sleep(0.5)
        service.process.terminate()
        time.sleep(1)
        began = time.monotonic()
        service.process.terminate()
        answer = interrupted.answer("POST")
        assert (answer.status, answer.headers["Connection"]) == (503, "close")
        assert int(answer.headers["Retry-After"]) > 0
        assert service.process.wait(WITHIN_S) == -signal.SIGTERM
        assert time.monotonic() - began < 5
        service.stop()
    assert "Traceback" not in "".join(service.log)


def test_interrupt_by_ctrl_c_does_not_drain(databases: Databases, tmp_path: Path) -> None:
    with start(databases, tmp_path, INTAKE_DRAIN="60s") as service:
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(WITHIN_S) == 130


def test_a_connection_that_is_new_when_the_service_stops_can_still_send_its_request(service: Service) -> None:
    with service, Wire(service.url) as new, Wire(service.url) as idle:
        httpx2.get(f"{service.url}/healthz")  # both connections are accepted before this one
        began = time.monotonic()
        service.process.terminate()
        time.sleep(0.5)
        answer = new.send(POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY).answer("POST")
        assert answer.status == 204
        assert (new.rest(), idle.rest()) == (b"", b"")
        assert service.process.wait(WITHIN_S) == -signal.SIGTERM
        assert time.monotonic() - began < 5
