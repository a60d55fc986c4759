"""Messages about leads that others moved, and about the end of the queue."""

from collections.abc import Sequence
from datetime import datetime

from leadctl.errors import LoginRequired, PermissionDenied
from leadctl.output.escapes import escape_control
from leadctl.times import format_relative


def describe_move(user: object, at: object, state: object, me: str) -> str:
    """Return who moved a lead to its state, and when."""
    if user is None:
        return f"this lead is {escape_control(state)}"
    when = format_relative(str(at), datetime.now().astimezone()) if at else ""
    when = "just now" if when == "now" else when
    who = "you" if user == me else escape_control(user)
    return f"{who} moved this to {escape_control(state)} {escape_control(when)}".rstrip()


def login_reason(error: PermissionDenied) -> str:
    """Return why a login is asked for, without the command that does so elsewhere."""
    return "your login has ended" if isinstance(error, LoginRequired) else str(error)


def passed_over_text(passed: Sequence[tuple[int, str]]) -> str:
    """Return which leads were passed over, and who had moved them; empty if there are none."""
    if len(passed) == 1:
        return f"passed over lead {passed[0][0]}: {passed[0][1]}"
    return f"passed over {len(passed)} leads that others had moved" if passed else ""


def end_text(counts: str, *, has_skipped: bool) -> str:
    """Return what was done with the queue, and what to do about skipped leads."""
    again = " Skipped leads are shown again by the next leadctl triage." if has_skipped else ""
    return f"The end of the queue: {counts}.{again}"
