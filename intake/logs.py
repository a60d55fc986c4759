"""The log's format: text, or one JSON object a line (`INTAKE_LOG`)."""

import json
import logging
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime

import orjson

TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)

log = logging.getLogger("intake")


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object in ASCII, so that no message can forge a line or control a terminal.

    A record whose `fields` are set has names for its arguments, which become members, too.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the object, without a line break."""
        time = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        entry: dict[str, object] = {"time": f"{time}Z", "level": record.levelname, "logger": record.name}
        entry["message"] = record.getMessage()
        entry.update(zip(getattr(record, "fields", ()), tuple(record.args or ()), strict=False))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _encode(entry)


def _encode(entry: dict[str, object]) -> str:
    with suppress(orjson.JSONEncodeError):  # lone surrogates
        if (line := orjson.dumps(entry)).isascii():
            return line.decode()
    return json.dumps(entry, separators=(",", ":"))  # six times as slow


def configure(wanted: str = TEXT) -> None:
    """Log to standard error in this format. With JSON, uncaught exceptions and warnings of Python are records, too."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if wanted == JSON:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
        logging.captureWarnings(True)
        sys.excepthook = lambda _kind, error, _traceback: _log_uncaught(error)
        threading.excepthook = lambda uncaught: _log_uncaught(uncaught.exc_value)
        sys.unraisablehook = lambda uncaught: _log_uncaught(uncaught.exc_value)


def is_json() -> bool:
    """Return whether the log is in JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)


def _log_uncaught(error: BaseException | None) -> None:
    log.critical("uncaught exception", exc_info=error)
