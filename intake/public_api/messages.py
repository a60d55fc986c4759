"""Texts of the HTML responses: thanks, and an explanation of each problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LABELS: Mapping[str, str] = {
    "email": "Email address",
    "f_name": "First name",
    "l_name": "Last name",
    "CV": "CV",
    "Idempotency-Key": "Idempotency-Key",
}
_UNKNOWN = "Another field"  # never its name, which anyone can choose and which looks like the firm's own words


@dataclass(frozen=True)
class Message:
    """The text of a page: a heading, what happened and what to do, and the errors in fields."""

    heading: str
    text: str
    faults: Sequence[tuple[str, str]] = ()
    is_problem: bool = True


THANKS = Message(
    "Thank you",
    "We have received your details and your CV. There is nothing more for you to do, and you can close this page.",
    is_problem=False,
)
_BACK = "Go back with your browser's Back button: what you entered should still be there."
_RELOAD = "Reloading this page also sends the form again."
_TWICE = "It does no harm if the same form reaches us twice: we save it once."
_OTHER = Message(
    "Something went wrong on our side",
    f"We can't tell whether your form was saved. Please go back and send it again {{wait}}. {_TWICE}",
)
_BY_STATUS: Mapping[int, Message] = {
    400: Message("Your form did not arrive in one piece", f"Nothing was saved. {_BACK} Then please send it again."),
    408: Message(
        "Sending took too long",
        f"Nothing was saved. {_BACK} Then please send it again, with a smaller file if you have one. {_RELOAD}",
    ),
    409: Message(
        "Your form is still on its way",
        "The same form was sent shortly before and is still being processed. Please go back and send it again"
        f" {{wait}}. {_RELOAD} {_TWICE}",
    ),
    413: Message(
        "What you sent is too large",
        f"Nothing was saved. A CV may have up to {{size}}. {_BACK} Then please choose a smaller file.",
    ),
    415: Message(
        "What you sent can't be read",
        "Nothing was saved. This is most likely a mistake in the form and not yours: please tell us of it by telephone"
        " or email.",
    ),
    422: Message("Please check what you entered", f"Nothing was saved yet. {_BACK}"),
    429: Message(
        "Too many forms at once",
        "Nothing was saved, because too many forms came from your connection. Please go back and send yours"
        f" again {{wait}}. {_RELOAD}",
    ),
    503: Message(
        "We can't take your form right now",
        f"Please go back and send it again {{wait}}. {_RELOAD} {_TWICE}",
    ),
}
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def explain(problem: Mapping[str, Any], *, retry_after: str | None, max_bytes: int) -> Message:
    """Return the explanation of a problem document (RFC 9457).

    `retry_after` is the value of that header, if present; `max_bytes` is the maximum size of a CV.
    """
    found = _BY_STATUS.get(problem["status"], _OTHER)
    return Message(
        found.heading,
        found.text.format(wait=_wait(retry_after), size=_size(max_bytes)),
        [(LABELS.get(fault["field"], _UNKNOWN), _sentence(fault["detail"])) for fault in problem.get("errors", ())],
    )


def _wait(retry_after: str | None) -> str:
    """Return when to try again, rounded up from seconds; any other value gives no time."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return "in a little while"
    seconds = max(1, int(retry_after[:9]))
    unit, name = next((unit, name) for unit, name in _UNITS if seconds >= unit)
    count = -(-seconds // unit)
    return f"in {count} {name}{'' if count == 1 else 's'}"


def _size(count: int) -> str:
    """Return a number of bytes, rounded down, in the units of file managers."""
    if count >= 2**20:
        return f"{count // 2**20} MB"
    return f"{count // 2**10} KB" if count >= 2**10 else f"{count} bytes"


def _sentence(detail: str) -> str:
    return detail[:1].upper() + detail[1:]
