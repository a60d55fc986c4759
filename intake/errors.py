"""Errors. `str(error)` may be shown to the client; causes stay in `__cause__`."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class IntakeError(Exception):
    """Base class of this service's errors."""


class Stopped(Exception):
    """A scan or an extraction was cancelled by a shutdown."""


class SettingsInvalid(IntakeError):
    """One or more settings are invalid; one line for each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))


class DatabaseMissing(IntakeError):
    """The SQLite file does not exist."""


class DatabaseNotMigrated(IntakeError):
    """The database's schema is not that of this version."""


class DatabaseUnavailable(IntakeError):
    """The database is unreachable or overloaded.

    `reason` is for the operator only.
    """

    def __init__(self, detail: str, *, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


class LockTimeout(DatabaseUnavailable):
    """Another transaction held a lock for too long."""


class StatementTimeout(DatabaseUnavailable):
    """The database stopped a statement that took too long."""


class SearchTimeout(IntakeError):
    """A search takes too long; repeating it does not help."""

    retry_after_s = None


class StorageUnavailable(IntakeError):
    """An upload can't be stored: no space, no permission, or no connection."""


class FileMissing(StorageUnavailable):
    """The CV store is reachable, and lacks a file."""


class OrphanCollectionRefused(IntakeError):
    """The CV store has orphans that may not be safe to delete."""


class BackupFailed(IntakeError):
    """A backup can't be made or restored."""


class BackupInvalid(IntakeError):
    """A backup is damaged, not complete, or not one of this service."""


class RateLimiterUnavailable(IntakeError):
    """The limits store, which counts requests and failed logins, is unavailable."""


class RequestRejected(IntakeError):
    """A request is refused to protect the service; `reason` labels the metric."""

    reason = ""


class RateLimited(RequestRejected):
    """The client exceeded its rate limit; `Retry-After` has the wait in seconds."""

    reason = "rate"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ServiceBusy(RequestRejected):
    """Too many requests or uploads are in progress.

    `reason` is `uploads`, `spool` (their bytes), `requests` or `threads`.
    """

    def __init__(self, detail: str, *, reason: str) -> None:
        super().__init__(detail)
        self.reason = reason


class TooManyPendingLogins(RequestRejected):
    """Too many logins wait for a thread: in total, for one user, or from one network."""

    reason = "logins"


class RequestTimeout(RequestRejected):
    """The body did not arrive in time."""

    reason = "slow_body"


class ScannerUnavailable(IntakeError):
    """clamd is unreachable."""


class ScanFailed(IntakeError):
    """clamd did not return a result for a file."""


class RangeNotSatisfiable(IntakeError):
    """The requested range is beyond the end of the file; `Content-Range` has its size."""

    def __init__(self, detail: str, *, size: int) -> None:
        super().__init__(detail)
        self.size = size


class ChecksumMismatch(IntakeError):
    """The stored CV is not identical to the uploaded one."""


class ScanPending(IntakeError):
    """The CV has not been scanned yet."""


class CvQuarantined(IntakeError):
    """The CV may be dangerous."""


class CvTooLargeToScan(IntakeError):
    """The scanner could not scan the CV, so it may be infected."""


class UnknownStatesInUse(IntakeError):
    """Stored leads are in states that INTAKE_STATES lacks."""


class TemplateInvalid(IntakeError):
    """A mail template can't be rendered."""


class InvalidHostHeader(IntakeError):
    """The request has no Host header, or more than one."""


class MisdirectedRequest(IntakeError):
    """The request is for a host that this service does not serve."""


class MalformedBody(IntakeError):
    """The body can't be parsed as its media type."""


class BodyTooLarge(IntakeError):
    """The body, or its file, is larger than the maximum."""


class UnsupportedMediaType(IntakeError):
    """The body has a media type that the route does not support."""


# codes of field errors, by which clients can choose a translation, and the names of their parameters
FIELD_ERROR_CODES: Mapping[str, tuple[str, ...]] = {
    "required": (),
    "empty": (),
    "unknown": (),
    "repeated": (),
    "wrong_type": ("expected",),
    "too_long": ("max", "unit"),
    "too_short": ("min", "unit"),
    "out_of_range": ("min", "max"),
    "not_one_of": ("choices",),
    "not_utf8": (),
    "control_characters": (),
    "not_printable": ("max",),
    "not_an_email": ("suggestion",),
    "not_a_phone": ("min", "max"),
    "not_a_date": (),
    "form_only": (),
    "not_accepted": ("extensions",),
    "program": (),
    "unsafe_archive": (),
    "invalid_username": ("max",),
    "common_password": (),
    "password_is_username": (),
    "already_used": (),
    "another_person": ("lead_id",),
    "invalid": (),
}


class InvalidValue(ValueError):
    """A value of a field is invalid; `code` is one of FIELD_ERROR_CODES."""

    def __init__(self, detail: str, code: str, **params: object) -> None:
        super().__init__(detail)
        self.code, self.params = code, params


@dataclass(frozen=True)
class FieldError:
    """An error in one field of a request: a text for people, and a code with parameters for programs."""

    field: str
    detail: str
    code: str = "invalid"
    params: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, name: str, error: ValueError) -> "FieldError":
        """Return the error of a field whose value was rejected."""
        invalid = error if isinstance(error, InvalidValue) else InvalidValue(str(error), "invalid")
        return cls(name, str(invalid), invalid.code, invalid.params)


MAX_FIELD_ERRORS = 20  # limits the size of the response


class ValidationError(IntakeError):
    """Fields have invalid values; `errors` has each of them."""

    def __init__(self, *faults: FieldError) -> None:
        self.faults = faults[:MAX_FIELD_ERRORS]
        super().__init__("; ".join(f"{fault.field}: {fault.detail}" for fault in self.faults))


class ExternalIdTaken(ValidationError):
    """Another person's lead has this external id."""


class AuthenticationRequired(IntakeError):
    """The token, or the username and password, are missing or invalid."""


class LoginThrottled(IntakeError):
    """After wrong passwords, the next attempt must wait; `Retry-After` has the wait in seconds."""

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class PermissionDenied(IntakeError):
    """The user lacks permission for this operation."""


class LeadNotFound(IntakeError):
    """No lead has this id."""


class PersonNotFound(IntakeError):
    """No lead has this email address."""


class ChangeNotFound(IntakeError):
    """No change has this id."""


class ChangeByAnotherUser(IntakeError):
    """Undoing another user's change needs an explicit confirmation."""


class IdempotencyKeyInUse(IntakeError):
    """A submission with this key is still in progress."""


class StateConflict(IntakeError):
    """The lead is no longer in the expected state."""


class UsernameTaken(IntakeError):
    """Another user has this name, ignoring case."""


class UserNotFound(IntakeError):
    """No user has this name."""


class LastAdministrator(IntakeError):
    """This user is the last active administrator."""
