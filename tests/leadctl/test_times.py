"""Timestamps and durations."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from leadctl.errors import UsageError
from leadctl.times import format_relative, is_timestamp, parse_duration, parse_timestamp

NOW = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(), "now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(seconds=200), "3 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=2, hours=3), "2 d ago"),
        (timedelta(days=365), "2025-11-01"),
        (timedelta(minutes=-43), "in 43 min"),
        (timedelta(days=-365), "2027-11-01"),
    ],
)
def test_format_relative(age: timedelta, text: str) -> None:
    assert format_relative((NOW - age).isoformat(), NOW) == text


@pytest.mark.parametrize("text", ["", "yesterday", "\\x1b[31m"])
def test_format_relative_keeps_other_text(text: str) -> None:
    assert format_relative(text, NOW) == text


@pytest.mark.parametrize(("text", "days"), [("today", 0), ("yesterday", 1)])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_days_begin_at_local_midnight(text: str, days: int, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    begin = datetime.fromisoformat(parse_timestamp(text, "--since"))
    monkeypatch.undo()
    time.tzset()
    here = datetime.now(ZoneInfo(zone))
    assert begin.isoformat()[:19] == f"{here.date() - timedelta(days)}T00:00:00"
    assert begin.utcoffset() == begin.astimezone(ZoneInfo(zone)).utcoffset()


@pytest.mark.parametrize(("text", "length"), [("500ms", 0.5), ("2s", 2), ("1.5m", 90), ("3", 3), ("1h", 3600)])
def test_parse_duration(text: str, length: float) -> None:
    assert parse_duration(text, "--interval", minimum=0.1, maximum=3600) == length


@pytest.mark.parametrize("text", ["", "0", "-1s", "2 s", "1d", "61m", "1e3", "٢s"])
def test_parse_duration_rejects_invalid_text(text: str) -> None:
    with pytest.raises(UsageError, match="--interval is"):
        parse_duration(text, "--interval", minimum=0.1, maximum=3600)


def test_parse_timestamp() -> None:
    two_days_ago = datetime.now(UTC) - timedelta(days=2)
    assert abs(datetime.fromisoformat(parse_timestamp("2d", "--since")) - two_days_ago) < timedelta(minutes=1)
    assert parse_timestamp("2026-11-01T09:00+02:00", "--since").startswith("2026-11-01T")
    assert datetime.fromisoformat(parse_timestamp("2026-11-01", "--since")).tzinfo is not None
    with pytest.raises(UsageError):
        parse_timestamp("tomorrow", "--since")


def test_is_timestamp() -> None:
    assert [is_timestamp(name) for name in ("created_at", "at", "state", "format")] == [True, True, False, False]
