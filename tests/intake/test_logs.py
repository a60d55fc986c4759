"""JSON logs: one object a line, whatever a message contains, and the fields of the access log."""

import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from intake import logs
from intake.http.access_log import AccessLog, Entry

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The stream to which JSON logs are configured, in place of the test runner's handlers."""
    root, found = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = [logging.StreamHandler(found)]
    root.setLevel(logging.INFO)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logs.configure(logs.JSON)
    yield found
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def entries(stream: io.StringIO) -> list[dict[str, object]]:
    """Return the logged objects, one for each line."""
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


def test_a_record_is_one_object(stream: io.StringIO) -> None:
    logging.getLogger("intake.workers.mail").warning("mail %d not sent", 7)
    [entry] = entries(stream)
    assert TIME.fullmatch(str(entry.pop("time")))
    assert entry == {"level": "WARNING", "logger": "intake.workers.mail", "message": "mail 7 not sent"}
    assert logs.is_json()


def test_no_message_forges_a_line_or_controls_a_terminal() -> None:
    hostile = 'a\n{"level": "INFO"}\r\u2028\x1b[2J\x9b\u202e\udc80"\\'
    line = logs.JsonFormatter().format(logging.makeLogRecord({"msg": hostile}))
    assert line.isprintable()
    assert line.isascii()
    assert json.loads(line)["message"] == hostile


def test_the_access_log_has_fields(stream: io.StringIO) -> None:
    access_log = AccessLog()
    access_log.start()
    access_log.add(Entry("POST", "/leads/\n", 204, 0.00214, "0123456789abcdef"))
    access_log.add(Entry("GET", "/readyz", 503, 1.5, "f" * 16))
    access_log.close()
    first, second = entries(stream)
    assert TIME.fullmatch(str(first.pop("time")))
    assert first == {
        "level": "INFO",
        "logger": "intake.access",
        "message": "POST /leads/\\n 204 2 ms 0123456789abcdef",
        "method": "POST",
        "path": "/leads/\\n",
        "status": 204,
        "milliseconds": 2.1,
        "request_id": "0123456789abcdef",
    }
    assert (second["status"], second["milliseconds"], second["request_id"]) == (503, 1500.0, "f" * 16)


def test_exceptions_are_one_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("intake").exception("it failed")
    [entry] = entries(stream)
    assert entry["message"] == "it failed"
    assert str(entry["exception"]).startswith("Traceback")
    assert str(entry["exception"]).endswith("ValueError: two\nlines")


def test_uncaught_exceptions_and_warnings_are_objects(stream: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    sys.excepthook(ValueError, ValueError("in the main thread"), None)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("deprecated", stacklevel=1)
    in_thread, in_main, warning = entries(stream)
    assert in_thread["level"] == in_main["level"] == "CRITICAL"
    assert str(in_thread["exception"]).endswith("ValueError: in a thread")
    assert str(in_main["exception"]).endswith("ValueError: in the main thread")
    assert "deprecated" in str(warning["message"])
