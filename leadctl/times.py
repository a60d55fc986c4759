"""Moments and spans of time, as people write them and like to read them."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from leadctl.errors import UsageError

_UNITS: Mapping[str, str] = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGES = ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (60 * 86400, 86400, "d"))  # below, in, called
_NOW_S = 5


def parse_timestamp(text: str, flag: str) -> str:
    """Return what the text means as RFC 3339: so long ago, or a date or moment on this machine's clock.

    Raises Usage, naming the flag.
    """
    now = datetime.now().astimezone()
    try:
        if ago := re.fullmatch(r"(\d{1,6})([mhdw])", text, re.ASCII):
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{flag} is {text!r}; expected 30m, 12h, 2d, 1w, 2026-11-01 or 2026-11-01T09:00") from error


def parse_duration(text: str, flag: str, *, least: float, most: float) -> float:
    """Return the length of a span such as 500ms, 2s, 1.5m, or 2 (seconds). Raises Usage, naming the flag."""
    span = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|h|)", text, re.ASCII)
    length = float(span[1]) * {"ms": 0.001, "m": 60, "h": 3600}.get(span[2], 1) if span else None
    if length is None or not least <= length <= most:
        raise UsageError(f"{flag} is {text!r}; expected e.g. 500ms, 2s or 1m, from {least:g} s to {most:g} s")
    return length


def is_timestamp(column: str) -> bool:
    """Return whether a column of this name holds moments."""
    return column == "at" or column.endswith("_at")


def is_day(text: str) -> bool:
    """Return whether the text is a date such as 2026-11-01."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def format_relative(value: str, now: datetime) -> str:
    """Return how long ago an RFC 3339 moment was, as its day where that is long; what is no moment as it is."""
    try:
        then = datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        return value
    age = (now - then).total_seconds()
    if abs(age) < _NOW_S:
        return "now"
    if age > 0:
        for below, unit, name in _AGES:
            if age < below:
                return f"{int(age // unit)} {name} ago"
    return then.strftime("%Y-%m-%d")
