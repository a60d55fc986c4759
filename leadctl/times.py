"""Parse and format timestamps and durations."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from leadctl.errors import UsageError

_UNITS: Mapping[str, str] = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGES = ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (60 * 86400, 86400, "d"))  # limit, unit, name
_NOW_S = 5
_DAYS_AGO = {"today": 0, "yesterday": 1}


def parse_timestamp(text: str, flag: str) -> str:
    """Return an age or a local date or time as an RFC 3339 timestamp. Raises UsageError, naming the flag."""
    now = datetime.now().astimezone()
    try:
        if ago := re.fullmatch(r"(\d{1,6})([mhdw])", text, re.ASCII):
            return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
        if text in _DAYS_AGO:
            return datetime.combine(now.date() - timedelta(_DAYS_AGO[text]), time()).astimezone().isoformat()
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{flag} is {text!r}; expected 30m, 12h, 2d, 1w, today, yesterday, 2026-11-01 or 2026-11-01T09:00"
        ) from error


def complete_day(incomplete: str) -> list[str]:
    """Return the words for days with this prefix, for shell completion."""
    return [word for word in _DAYS_AGO if word.startswith(incomplete)]


def parse_range(since: str | None, until: str | None) -> dict[str, str | None]:
    """Return the values of --since and --until as RFC 3339 timestamps. Raises UsageError."""
    texts = {"since": since, "until": until}
    times = {name: None if text is None else parse_timestamp(text, f"--{name}") for name, text in texts.items()}
    begin, end = times.values()
    if begin and end and datetime.fromisoformat(begin) >= datetime.fromisoformat(end):
        raise UsageError(f"--since {since} is not before --until {until}, so nothing can match")
    return times


def parse_duration(text: str, flag: str, *, minimum: float, maximum: float) -> float:
    """Return a duration such as 500ms, 2s, 1.5m or 2 in seconds. Raises UsageError, naming the flag."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|h|)", text, re.ASCII)
    length = float(match[1]) * {"ms": 0.001, "m": 60, "h": 3600}.get(match[2], 1) if match else None
    if length is None or not minimum <= length <= maximum:
        raise UsageError(f"{flag} is {text!r}; expected e.g. 500ms, 2s or 1m, from {minimum:g} s to {maximum:g} s")
    return length


def is_timestamp(column: str) -> bool:
    """Return whether the column contains timestamps."""
    return column == "at" or (column.endswith("_at") and "." not in column)  # the firm's own fields have a dot


def is_day(text: str) -> bool:
    """Return whether the text is a date such as 2026-11-01."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def format_relative(value: str, now: datetime) -> str:
    """Return an RFC 3339 timestamp as a relative time, or as a date if that is far; other text unchanged."""
    try:
        then = datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError):
        return value
    age = (now - then).total_seconds()
    if abs(age) < _NOW_S:
        return "now"
    for below, unit, name in _AGES:
        if abs(age) < below:
            length = f"{int(abs(age) // unit)} {name}"
            return f"{length} ago" if age > 0 else f"in {length}"
    return then.strftime("%Y-%m-%d")


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units, such as `2 d 4 h`."""
    minutes = max(0, int(seconds // 60))
    parts = {"d": minutes // 1440, "h": minutes // 60 % 24, "min": minutes % 60}
    largest = [f"{number} {unit}" for unit, number in parts.items() if number][:2]
    return " ".join(largest[:1] if largest and largest[0].endswith("min") else largest) or "0 min"


def format_exact(value: str) -> str:
    """Return an RFC 3339 timestamp as a local time; other text unchanged."""
    try:
        return datetime.fromisoformat(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return value


def format_age(value: str, now: datetime) -> str:
    """Return an RFC 3339 timestamp as a relative and a local time; other text unchanged."""
    relative = format_relative(value, now)
    if relative == value:
        return value
    local = format_exact(value)
    return local if local.startswith(relative) else f"{relative} ({local})"
