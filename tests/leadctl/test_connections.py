"""The limit on the duration of a response, whatever the server sends slowly."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat

import pytest

from leadctl import connections
from leadctl.errors import TryAgain
from leadctl.http import Http
from tests.leadctl.test_http import CA, TLS

LIMIT_S = 0.5
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
SLOW = {
    "nothing": (b"", b""),
    "header": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "informational responses": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "chunk extension": (CHUNKED + b"2;", b"x"),
    "trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"x"),
    "body": (WHOLE.replace(b"2\r", b"9999\r"), b" "),
    "body of unknown length": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" "),
    "body of an error": (b"HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 9999\r\n\r\n", b" "),
}


@contextmanager
def slow_server(first: bytes, piece: bytes, *, tls: bool = False) -> Iterator[str]:
    """Serve one connection: answer a request with `first`, then a piece every 20 ms for ten seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection: socket.socket = server.accept()[0]
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(TLS / "server.pem")
                connection = context.wrap_socket(connection, server_side=True)
            with connection, suppress(OSError):  # the client closes it
                connection.recv(2**16)
                for data in chain([first], repeat(piece, 500)):
                    connection.sendall(data)
                    time.sleep(0.02)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_RESPONSE_S", LIMIT_S)


@contextmanager
def http_to(url: str) -> Iterator[Http]:
    cacert = CA if url.startswith("https") else None
    with connections.connect(url, auth=None, cacert=cacert, insecure_http=False) as client:
        yield Http(url, client, info=print)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("slow", SLOW)
def test_a_slow_response_is_an_error(slow: str, *, tls: bool) -> None:
    began = time.monotonic()
    with slow_server(*SLOW[slow], tls=tls) as url, http_to(url) as http:
        with pytest.raises(TryAgain, match=r"its response took longer than 0\.5 s"):
            http.json("GET", "/")
        assert LIMIT_S <= time.monotonic() - began < 8


@pytest.mark.parametrize("slow", ["header", "informational responses", "body of an error"])
def test_a_slow_start_of_a_download_is_an_error(slow: str) -> None:
    with slow_server(*SLOW[slow]) as url, http_to(url) as http:
        with pytest.raises(TryAgain, match=r"its response took longer than 0\.5 s"), http.stream("/"):
            pass


def test_a_download_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_RESPONSE_S", 0.2)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"
    with slow_server(head, b"x") as url, http_to(url) as http, http.stream("/") as response:
        assert b"".join(http.iter_chunks(response)) == b"x" * 50


def test_a_response_in_time_leaves_the_connection_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                for _ in range(2):
                    connection.recv(2**16)
                    connection.sendall(WHOLE)

        thread = threading.Thread(target=serve)
        thread.start()
        with http_to(f"http://127.0.0.1:{server.getsockname()[1]}") as http:
            for _ in range(2):
                assert http.json("GET", "/") == {}
                time.sleep(1.5 * LIMIT_S)
        thread.join()
