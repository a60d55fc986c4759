"""Upload slots, spool space and body timeouts under floods; responses before the end of a body."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx2
import pytest

from intake.http.body_timeout import GRACE_S
from intake.http.multipart import MAX_OVERHEAD_BYTES
from tests.system.programs import INTAKE, Service, clean_environment

MAX_CV_BYTES = 2**20
PASSWORD = "correct horse battery"
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="email"\r\n\r\nada@example.com\r\n'
    b'--b\r\nContent-Disposition: form-data; name="f_name"\r\n\r\nAda\r\n'
    b'--b\r\nContent-Disposition: form-data; name="l_name"\r\n\r\nLovelace\r\n'
    b'--b\r\nContent-Disposition: form-data; name="CV"; filename="cv.pdf"\r\n\r\n%PDF-1.4\r\n--b--\r\n'
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the tests as its proxy: 8 upload slots, 2 per client, and spool space for 3 maximal uploads."""
    directory = tmp_path_factory.mktemp("floods")
    settings = {
        "INTAKE_TRUSTED_PROXIES": "127.0.0.1",
        "INTAKE_RATE_LIMIT": "6/minute",
        "INTAKE_MAX_UPLOADS": "8",
        "INTAKE_MAX_CV_BYTES": str(MAX_CV_BYTES),
        "INTAKE_MAX_SPOOL_BYTES": str(3 * (MAX_CV_BYTES + MAX_OVERHEAD_BYTES)),
        "INTAKE_BODY_TIMEOUT": "8s",
    }
    with Service(clean_environment(directory, **settings), directory) as running:
        yield running


class Upload:
    """A connection with a started submission."""

    def __init__(self, service: Service, client: str, *, size: int | None = None, path: str = "/leads/") -> None:
        host, port = service.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        length = b"Transfer-Encoding: chunked" if size is None else b"Content-Length: %d" % size
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\n" % (path.encode(), client.encode())
        self.socket.sendall(head + b"Content-Type: multipart/form-data; boundary=b\r\n" + length + b"\r\n\r\n")

    def finish(self, body: bytes) -> "Upload":
        """Send the rest of the body."""
        self.socket.sendall(body)
        return self

    def answer(self) -> tuple[int, str]:
        """Return the status and the whole response."""
        answer = b""
        while b"\r\n\r\n" not in answer or (b"problem+json" in answer and b"}" not in answer):
            got = self.socket.recv(65536)
            if not got:
                break
            answer += got
        return int(answer.split()[1]), answer.decode()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


class Login(Upload):
    """A connection with a started login."""

    def __init__(self, service: Service) -> None:
        host, port = service.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.sendall(
            b"POST /internal/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"username": '
        )


def begun(service: Service, *clients: str) -> list[Upload]:
    """Return a started upload per client, which occupies a slot."""
    uploads = [Upload(service, client, size=len(FORM)) for client in clients]
    time.sleep(0.3)  # until the service has accepted them
    return uploads


def submit(service: Service, client: str) -> tuple[int, str]:
    with closing(Upload(service, client, size=len(FORM))) as upload:
        return upload.finish(FORM).answer()


def token(service: Service) -> str:
    """Create a user and return a token."""
    environment = clean_environment(service.directory)
    command = [INTAKE, "create-user", "ada", "--password-stdin"]
    subprocess.run(command, input=PASSWORD, text=True, env=environment, cwd=service.directory, check=True)
    answer = httpx2.post(f"{service.url}/internal/auth/login", json={"username": "ada", "password": PASSWORD})
    return str(answer.json()["access_token"])


def refused(service: Service) -> dict[str, float]:
    lines = httpx2.get(f"{service.url}/metrics").text.splitlines()
    found = [line.split('"')[1::2] + line.split()[-1:] for line in lines if line.startswith("intake_refused_total{")]
    return {reason: float(number) for reason, number in found}


def test_upload_slots_per_client_are_limited_and_released(service: Service) -> None:
    held = begun(service, "192.0.2.1", "192.0.2.1")
    status, text = submit(service, "192.0.2.1")
    assert (status, '"Service busy"' in text) == (503, True)
    assert "retry-after: 5\r\n" in text.lower()
    assert submit(service, "192.0.2.2")[0] == 204, "another client"
    assert refused(service)["uploads"] == 1
    held[0].close()
    assert held[1].finish(FORM).answer()[0] == 204
    held[1].close()
    time.sleep(0.3)
    assert [submit(service, "192.0.2.1")[0] for _ in range(2)] == [204, 204]


def test_upload_slots_are_limited_in_total(service: Service) -> None:
    held = begun(service, *[f"198.51.100.{number}" for number in range(8)])
    try:
        assert submit(service, "198.51.100.99")[0] == 503
    finally:
        for upload in held:
            upload.close()
    time.sleep(0.3)
    assert submit(service, "198.51.100.98")[0] == 204


def test_upload_without_content_length_reserves_the_maximum(service: Service) -> None:
    held = [Upload(service, f"203.0.113.{number}") for number in range(3)]
    time.sleep(0.3)
    try:
        status, _ = submit(service, "203.0.113.9")
        assert (status, refused(service)["spool"]) == (503, 1)
    finally:
        for upload in held:
            upload.close()


def test_internal_api_has_separate_upload_slots(service: Service) -> None:
    headers = {"Authorization": f"Bearer {token(service)}"}
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    held = begun(service, *[f"198.18.0.{number}" for number in range(8)])
    try:
        assert submit(service, "198.18.0.99")[0] == 503
        answer = httpx2.post(
            f"{service.url}/internal/leads/", data=form, files={"CV": ("cv.pdf", b"x")}, headers=headers
        )
        assert answer.status_code == 201
    finally:
        for upload in held:
            upload.close()


def test_body_timeout_gives_408_and_releases_the_slot(service: Service) -> None:
    began = time.monotonic()
    held = begun(service, "192.0.2.50", "192.0.2.50")
    answers = [upload.answer() for upload in held]
    assert {status for status, _ in answers} == {408}
    assert GRACE_S - 1 < time.monotonic() - began < GRACE_S + 5
    assert "connection: close" in answers[0][1].lower()
    for upload in held:
        assert upload.socket.recv(1) == b"", "the connection is closed"
        upload.close()
    assert submit(service, "192.0.2.50")[0] == 204
    assert refused(service)["slow_body"] == 2


def test_login_body_timeout_gives_408(service: Service) -> None:
    with closing(Login(service)) as login:
        assert login.answer()[0] == 408


@pytest.mark.parametrize("declares", [True, False])
def test_oversized_body_gets_413_while_it_is_sent(service: Service, declares: bool) -> None:
    pieces = [b"x" * 65536] * 320
    headers = {"Content-Type": "multipart/form-data; boundary=b", "X-Forwarded-For": f"192.0.2.{60 + declares}"}
    if declares:
        headers["Content-Length"] = str(sum(map(len, pieces)))
    answer = httpx2.post(f"{service.url}/leads/", content=iter([FORM[:-8], *pieces][declares:]), headers=headers)
    assert (answer.status_code, answer.headers["Connection"]) == (413, "close")


def test_oversized_content_length_gets_413_before_the_body_is_read(service: Service) -> None:
    with closing(Upload(service, "192.0.2.70", size=10**12)) as upload:
        assert upload.answer()[0] == 413


def test_rate_limit_gives_429_before_the_body_is_read(service: Service) -> None:
    for _ in range(6):
        submit(service, "192.0.2.80")
    with closing(Upload(service, "192.0.2.80", size=len(FORM))) as upload:
        status, text = upload.answer()
    assert status == 429
    assert 'ratelimit-policy: "minute";q=6;w=60\r\n' in text.lower()


def test_connections_are_limited_per_client_behind_a_proxy(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    request = (
        b"POST /internal/auth/login HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    with ExitStack() as stack:

        def begun(client: bytes) -> socket.socket:
            connected = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            connected.sendall(request % client)
            return connected

        for _ in range(100):
            begun(b"192.0.2.77")
        assert b" 503 " in begun(b"192.0.2.77").recv(100)
        other = begun(b"192.0.2.78")
        other.sendall(b"x" * 9)
        assert b" 400 " in other.recv(100)
