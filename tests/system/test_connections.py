"""Protocol limits and malformed requests on a real service."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from tests.conftest import SECRET
from tests.system.programs import Service, clean_environment
from tests.system.wire import Wire, in_bytes

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = (
    b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % field
        for field in ((b"email", b"ada@example.com"), (b"f_name", b"Ada"), (b"l_name", b"Lovelace"))
    )
    + b'--b\r\nContent-Disposition: form-data; name="CV"; filename="cv.pdf"\r\n\r\n%PDF-1.4 a CV\r\n--b--\r\n'
)
POST = b"POST /leads/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HEADER_TIMEOUT_S = 1.0
MAX_PER_CLIENT = 6
MAX_TOTAL = 10 * MAX_PER_CLIENT
EXEMPT = "127.0.0.9"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("hostile")
    settings = {
        "INTAKE_HEADER_TIMEOUT": "1s",
        "INTAKE_MAX_CONNECTIONS": str(MAX_TOTAL),
        "INTAKE_RATE_LIMIT": "off",
        "INTAKE_RATE_LIMIT_EXEMPT": EXEMPT,
    }
    with Service(clean_environment(directory, **settings), directory, "serve", "--no-worker") as running:
        yield running
        assert "Traceback" not in "".join(running.log)


@pytest.fixture
def wire(service: Service) -> Iterator[Wire]:
    with Wire(service.url) as connected:
        yield connected


def statuses(received: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def refused(service: Service, reason: str) -> float:
    """Return the number of refusals for a reason."""
    exposed = httpx2.get(f"{service.url}/metrics").text
    [count] = re.findall(rf'^intake_refused_total{{reason="{reason}"}} (\S+)$', exposed, re.MULTILINE)
    return float(count)


def test_slow_headers_time_out_with_408(wire: Wire) -> None:
    began = time.monotonic()
    wire.send(*in_bytes(GET), pause_s=0.15)
    assert statuses(wire.rest()) == [408]
    assert HEADER_TIMEOUT_S <= time.monotonic() - began < len(GET) * 0.15 + 3


def test_slow_and_oversized_headers_are_counted_and_malformed_ones_are_not(service: Service) -> None:
    before = refused(service, "headers")
    for sent in (GET[:20], GET[:-2] + b"X: a\r\n" * 101 + b"\r\n", b"not HTTP\r\n\r\n"):
        with Wire(service.url) as wire:
            wire.send(sent).rest()
    assert refused(service, "headers") == before + 2


def test_header_timeout_response_is_problem_json(wire: Wire) -> None:
    answer = wire.send(GET[:20]).answer()
    assert (answer.status, answer.headers["Content-Type"]) == (408, "application/problem+json")
    assert (answer.headers["Connection"], answer.headers["X-Content-Type-Options"]) == ("close", "nosniff")
    assert "Server" not in answer.headers


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(GET[:20], id="headers that stop"),
        pytest.param(b"this is no HTTP\r\n\r\n", id="no HTTP"),
        pytest.param(CHUNKED + b"zz\r\n", id="a bad chunk"),
        pytest.param(GET[:-2] + b"X: a\r\n" * 100 + b"\r\n", id="too many headers"),
    ],
)
def test_protocol_errors_have_a_logged_request_id(service: Service, wire: Wire, sent: bytes) -> None:
    request_id = wire.send(sent).answer().headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{16}", request_id)
    deadline = time.monotonic() + 5
    while request_id not in "".join(service.log) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert request_id in "".join(service.log)


def test_silent_connection_is_closed_without_a_response(wire: Wire) -> None:
    began = time.monotonic()
    assert wire.rest() == b""
    assert time.monotonic() - began < HEADER_TIMEOUT_S + 3


@pytest.mark.parametrize("trickle", [b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", GET], ids=["empty lines", "headers"])
def test_header_timeout_applies_to_later_requests_of_a_connection(wire: Wire, trickle: bytes) -> None:
    assert wire.send(GET).answer().status == 200
    began = time.monotonic()
    wire.send(*in_bytes(trickle), pause_s=0.15)
    assert statuses(wire.rest()) == ([408] if trickle == GET else [])
    assert time.monotonic() - began < 5


def test_idle_connection_outlasts_the_header_timeout(wire: Wire) -> None:
    for _ in range(2):
        assert wire.send(GET).answer().status == 200
        time.sleep(2.5 * HEADER_TIMEOUT_S)
    assert wire.send(GET).answer().status == 200


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "in chunks"])
def test_body_may_take_longer_than_the_header_timeout(wire: Wire, is_chunked: bool) -> None:
    parts = [BODY[at : at + 40] for at in range(0, len(BODY), 40)]
    if is_chunked:
        wire.send(CHUNKED, *(b"%x\r\n%s\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n", pause_s=0.3)
    else:
        wire.send(POST + b"Content-Length: %d\r\n\r\n" % len(BODY), *parts, pause_s=0.3)
    assert len(parts) * 0.3 > 2 * HEADER_TIMEOUT_S
    assert wire.answer("POST").status == 204
    assert wire.send(GET).answer().status == 200


def test_request_in_single_bytes_is_answered(wire: Wire) -> None:
    assert wire.send(*in_bytes(GET)).answer().status == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"X: " + b"a" * 33_000 + b"\r\n", id="one that is too long"),
        pytest.param(b"X: " + b"a" * 900_000, id="one without an end"),
        pytest.param(b"X" * 900_000, id="a name without an end"),
        pytest.param(b"".join(b"X-%d: %s\r\n" % (n, b"a" * 400) for n in range(90)), id="together too long"),
        pytest.param(b"X: a\r\n" * 100, id="too many"),
        pytest.param(b"X:\r\n" * 20_000, id="far too many"),
    ],
)
def test_oversized_headers_are_rejected_with_431(wire: Wire, headers: bytes) -> None:
    assert statuses(wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + headers, b"\r\n").rest()) == [431]


def test_endless_request_target_is_rejected_with_431(wire: Wire) -> None:
    assert statuses(wire.send(b"GET /" + b"a" * 900_000).rest()) == [431]


def test_headers_within_the_limits_are_accepted(wire: Wire) -> None:
    headers = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 300) for n in range(99))
    assert wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n").answer().status == 200


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"1;" + b"a" * 900_000, id="a chunk's extension"),
        pytest.param(b"0\r\nX: " + b"a" * 900_000, id="a trailer"),
        pytest.param(b"0\r\n" + b"X: a\r\n" * 150_000, id="trailers"),
    ],
)
def test_oversized_chunk_extensions_and_trailers_are_rejected(wire: Wire, flood: bytes) -> None:
    assert statuses(wire.send(CHUNKED, flood).rest()) == [431]


def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    paths = (b"/healthz", b"/nothing", b"/readyz", b"/internal/leads/", b"/healthz")
    last = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    wire.send(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths) + last)
    assert statuses(wire.rest()) == [200, 404, 200, 401, 200, 404]


def test_pipelined_requests_per_connection_are_limited(wire: Wire) -> None:
    answered = statuses(wire.send(GET * 2_000).rest())
    assert set(answered) == {200}
    assert 1 < len(answered) < 20


def test_disconnect_before_pipelined_responses_logs_no_error(service: Service) -> None:
    for _ in range(20):
        with Wire(service.url, source=EXEMPT) as gone:
            gone.send(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), GET)
    with Wire(service.url, source=EXEMPT) as wire:
        assert wire.send(GET).answer().status == 200
    time.sleep(0.2)
    assert "Traceback" not in "".join(service.log)


def test_garbage_after_a_request_does_not_affect_its_response(wire: Wire) -> None:
    assert statuses(wire.send(GET + b"garbage\r\n\r\n").rest()) == [200]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere loopback has one address")
def test_connections_are_limited_per_client_and_in_total(service: Service) -> None:
    with ExitStack() as stack:

        def connect(source: str) -> Wire:
            connected = stack.enter_context(Wire(service.url, source=source)).send(GET)
            assert connected.answer().status == 200
            return connected

        def refusal(source: str) -> int | None:
            with Wire(service.url, source=source) as wire:
                answer = wire.send(GET).answer()
                assert answer.status == 200 or (answer.headers["Retry-After"] and answer.headers["Connection"])
                return None if answer.status == 200 else answer.status

        mine = [connect("127.0.0.2") for _ in range(MAX_PER_CLIENT)]
        assert (refusal("127.0.0.2"), refusal("127.0.0.3")) == (503, None)
        for _ in range(MAX_TOTAL - MAX_PER_CLIENT):
            connect(EXEMPT)
        assert (refusal("127.0.0.3"), refusal(EXEMPT)) == (503, 503)
        mine.pop().socket.close()
        time.sleep(0.2)
        assert refusal("127.0.0.2") is None
    time.sleep(0.2)
    assert [refusal("127.0.0.2") for _ in range(3)] == [None] * 3
    deadline = time.monotonic() + 15
    while "connections refused" not in "".join(service.log) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert re.search(r"WARNING intake\.http\.protocol: connections refused: \d+; open: \d+", "".join(service.log))
    assert refused(service, "connections") >= 3


HEADER = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
UPGRADE = b"Connection: Upgrade\r\n"
AMBIGUOUS = {  # a proxy could see the next request begin elsewhere (request smuggling)
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "an encoding before chunks": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "another encoding": POST + b"Transfer-Encoding: gzip, chunked, identity\r\n\r\n0\r\n\r\n",
    "a disguised encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two encodings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk": CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-1\r\nhello\r\n0\r\n\r\n",
    "an endless chunk": CHUNKED + b"fffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a chunk that is too short": CHUNKED + b"2\r\nhello\r\n0\r\n\r\n",
}
PROBES = {
    "a folded header": HEADER + b"X: a\r\n b\r\n\r\n",
    "bare line feeds": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "a bare carriage return": HEADER + b"X: a\rb: c\r\n\r\n",
    "NUL in a value": HEADER + b"X: a\0b\r\n\r\n",
    "NUL in a name": HEADER + b"X\0: a\r\n\r\n",
    "a control character in a value": HEADER + b"X: a\x01b\r\n\r\n",
    "8-bit characters in a value": HEADER + b"X: \xff\xfe\r\nAuthorization: \xff\xfe\r\nUser-Agent: \x80\r\n\r\n",
    "no colon": HEADER + b"garbage\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": HEADER + b"Host: y\r\n\r\n",
    "an absolute target": b"GET http://elsewhere/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "an https target": b"GET https://elsewhere:99999/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET *": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "TRACE": b"TRACE /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an upgrade to HTTP/2": HEADER + UPGRADE + b"Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    "an upgrade of a body": POST + UPGRADE + b"Upgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
    "an upgrade to a websocket": HEADER + UPGRADE + b"Upgrade: websocket\r\nSec-WebSocket-Key: eHg=\r\n\r\n",
    "a method in lower case": b"get /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"BREW /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "an 8-bit path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path in UTF-8": "GET /lëads/ HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "a path that decodes to 8 bits": b"GET /%ff%fe%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an incomplete escape": b"GET /%f HTTP/1.1\r\nHost: x\r\n\r\n",
    "two slashes": b"GET //internal/leads/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "dots": b"GET /leads/../internal/leads/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "dots and a semicolon": b"GET /leads/..;/internal/leads/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET /healthz#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "no slash": b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a backslash": b"GET \\healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/1.0 without a host": b"GET /healthz HTTP/1.0\r\n\r\n",
    "HTTP/1.2": b"GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/9.9": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\0" * 200,
    "an expectation": POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    "an unknown expectation": HEADER + b"Expect: a miracle\r\n\r\n",
}


def answers(wire: Wire, sent: bytes) -> list[int]:
    """Return the statuses of the first response and of those that follow immediately."""
    received = wire.send(sent).socket.recv(2**16)
    wire.socket.settimeout(0.3)
    with suppress(TimeoutError):
        received += wire.rest()
    return statuses(received)


@pytest.mark.parametrize("probe", AMBIGUOUS)
def test_ambiguous_body_length_is_rejected_and_the_connection_closed(wire: Wire, probe: str) -> None:
    assert statuses(wire.send(AMBIGUOUS[probe] + GET).rest()) == [400]


@pytest.mark.parametrize("probe", PROBES)
def test_unusual_requests_never_cause_a_5xx(wire: Wire, probe: str) -> None:
    found = answers(wire, PROBES[probe])
    assert found
    assert all(status < 500 for status in found)


def test_upgrade_is_ignored_and_later_bytes_are_not_read(wire: Wire) -> None:
    assert statuses(wire.send(PROBES["an upgrade to a websocket"] + GET).rest()) == [200]


def in_chunks(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_a_small_form_may_have_small_chunks_and_a_large_one_may_not(wire: Wire, service: Service) -> None:
    assert wire.send(CHUNKED + in_chunks(BODY, 1)).answer().status == 204
    large = BODY.replace(b"a CV", b"a CV" * 50_000)
    with Wire(service.url) as other:
        assert other.send(CHUNKED + in_chunks(large, 64)).answer().status == 204
    received = wire.send(CHUNKED + in_chunks(large, 1)[:20_000]).rest()
    assert statuses(received) == [400]
    assert b"too many small chunks: send at least 64 bytes in each" in received


def test_a_client_of_http_1_0_gets_no_interim_response(wire: Wire) -> None:
    head = POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Expect: 100-continue\r\n"
    assert statuses(wire.send(head + b"Content-Length: %d\r\n\r\n" % len(BODY), BODY).rest()) == [204]


H2C = UPGRADE + b"Upgrade: h2c\r\nHTTP2-Settings: x\r\n"
DECLARED = POST + H2C + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
IN_CHUNKS = POST + H2C + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("request_", [DECLARED, IN_CHUNKS], ids=["declared", "in chunks"])
@pytest.mark.parametrize("is_split", [False, True])
def test_a_body_with_an_upgrade_is_read_and_nothing_behind_it(wire: Wire, request_: bytes, is_split: bool) -> None:
    sent = request_ + GET
    received = wire.send(*(in_bytes(sent) if is_split else [sent])).rest()
    assert statuses(received) == [204]
    assert b"connection: close" in received.lower()


@pytest.mark.parametrize("probe", AMBIGUOUS)
def test_ambiguous_body_length_with_an_upgrade_is_rejected(wire: Wire, probe: str) -> None:
    request_line, rest = AMBIGUOUS[probe].split(b"\r\n", 1)
    sent = b"\r\n".join([request_line, H2C.rstrip(b"\r\n"), rest])
    found = statuses(wire.send(sent + GET).rest())
    assert len(found) == 1
    assert 400 <= found[0] < 500


def test_a_body_with_an_upgrade_behind_another_request_is_read(wire: Wire) -> None:
    assert statuses(wire.send(GET + DECLARED + GET).rest()) == [200, 204]


def test_log_shows_no_secrets(service: Service) -> None:
    secrets = ("a-token-of-somebody", "correct horse battery", "YWRhOnB3")
    for method, path in (("GET", "/internal/leads/"), ("POST", "/internal/auth/login"), ("GET", "/nothing")):
        for scheme in ("Bearer a-token-of-somebody", "Basic YWRhOnB3"):
            httpx2.request(
                method,
                f"{service.url}{path}?token=a-token-of-somebody",
                headers={"Authorization": scheme, "Cookie": "session=a-token-of-somebody"},
                json={"username": "ada", "password": "correct horse battery"} if method == "POST" else None,
            )
    log = "".join(service.log)
    assert "/internal/auth/login" in log
    assert not [secret for secret in secrets if secret in log]


@pytest.mark.usefixtures("real_starts")
def test_process_list_shows_no_secrets(tmp_path: Path) -> None:
    with Service(clean_environment(tmp_path, INTAKE_JWT_SECRET=SECRET), tmp_path, "serve", "--no-worker") as running:
        if (process := Path(f"/proc/{running.process.pid}/cmdline")).exists():
            arguments = process.read_bytes().rstrip(b"\0").split(b"\0")
            assert arguments[-2:] == [b"serve", b"--no-worker"]
