"""Errors and exit codes."""

from enum import IntEnum
from typing import ClassVar, Self


class ExitCode(IntEnum):
    """Exit codes, each with its `meaning` for the user."""

    meaning: str

    DONE = 0, "success, also if there was nothing left to do"
    FAILED = 1, "failure"
    USAGE = 2, "usage error: invalid command line or value"
    PARTLY = 3, "partial failure: some of several ids or rows failed; each has a line on standard error"
    NOT_ALLOWED = 4, "not logged in, or permission denied"
    NOT_FOUND = 5, "no such lead, mail, change, user or person, or the CV has no text"
    CONFLICT = (
        6,
        "conflict: the lead is in another state, the name or external id is taken, or the change is another user's",
    )
    TRY_AGAIN = 75, "temporary failure: the server is unavailable or asks to wait"  # sysexits' EX_TEMPFAIL
    INTERRUPTED = 130, "interrupted"

    def __new__(cls, value: int, meaning: str) -> Self:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code


class LeadctlError(Exception):
    """An error to print on one line, with its remedy."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED


class UsageError(LeadctlError):
    """Invalid value on the command line."""

    exit_code = ExitCode.USAGE


class PartialFailure(LeadctlError):
    """Some of several items failed."""

    exit_code = ExitCode.PARTLY


class PermissionDenied(LeadctlError):
    """Not logged in, or not allowed."""

    exit_code = ExitCode.NOT_ALLOWED


class LoginRequired(PermissionDenied):
    """Not logged in, or the login has ended."""


class NotFound(LeadctlError):
    """No such object."""

    exit_code = ExitCode.NOT_FOUND


class Conflict(LeadctlError):
    """The object is not in the expected state."""

    exit_code = ExitCode.CONFLICT


class TryAgain(LeadctlError):
    """The server is unavailable, or asks to wait."""

    exit_code = ExitCode.TRY_AGAIN

    def __init__(self, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s  # from the server's Retry-After


class UnexpectedResponse(LeadctlError):
    """The response is not from an intake service."""


class ServerError(LeadctlError):
    """The server failed; it may have done what was requested."""


class ChecksumError(LeadctlError):
    """The received data differs from the original."""
