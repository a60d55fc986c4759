"""What can go wrong, and the exit code that tells a script of it."""

from enum import IntEnum
from typing import ClassVar, Self


class ExitCode(IntEnum):
    """What the program's exit tells, in words as `meaning`."""

    meaning: str

    DONE = 0, "done; what was so already counts as done"
    FAILED = 1, "failed"
    USAGE = 2, "usage: the command line, or a value on it, is wrong"
    PARTLY = 3, "of several ids, ids from standard input, or rows of a file, some were not done; each has a line"
    NOT_ALLOWED = 4, "not logged in, or not allowed"
    NOT_FOUND = 5, "there is no such lead, mail, change, user or person"
    CONFLICT = (
        6,
        ("conflict: the lead is in another state, the name or external id is taken, or another user made the change"),
    )
    TRY_AGAIN = 75, "try again later: the server is away, or asks to wait"  # sysexits' EX_TEMPFAIL
    INTERRUPTED = 130, "interrupted"

    def __new__(cls, value: int, meaning: str) -> Self:
        """Return the code with its meaning."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code


class LeadctlError(Exception):
    """Something to tell the user in one line, with what to do next."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


class UsageError(LeadctlError):
    """A value on the command line can't be used."""

    exit_code = ExitCode.USAGE


class PartialFailure(LeadctlError):
    """Some of several were not done."""

    exit_code = ExitCode.PARTLY


class PermissionDenied(LeadctlError):
    """Not logged in, or not allowed."""

    exit_code = ExitCode.NOT_ALLOWED


class NotFound(LeadctlError):
    """There is no such lead."""

    exit_code = ExitCode.NOT_FOUND


class Conflict(LeadctlError):
    """The server holds something else than was expected."""

    exit_code = ExitCode.CONFLICT


class TryAgain(LeadctlError):
    """The server is away, or asks to wait."""

    exit_code = ExitCode.TRY_AGAIN

    def __init__(self, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s  # where the server said so


class UnexpectedResponse(LeadctlError):
    """What answers is no intake service."""


class ChecksumError(LeadctlError):
    """What arrived is not what was sent."""
