"""What can go wrong, as facts. `str(error)` may be told to whoever caused it; causes stay in `__cause__`."""

from collections.abc import Sequence
from dataclasses import dataclass


class IntakeError(Exception):
    """The root of every error that this service raises on purpose."""


class SettingsInvalid(IntakeError):
    """One or more settings hold a value that can't be used; one line for each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))


class DatabaseMissing(IntakeError):
    """The SQLite file does not exist."""


class DatabaseNotMigrated(IntakeError):
    """The schema in the database is not the one that this version needs."""


class DatabaseUnavailable(IntakeError):
    """The database can't be reached, or can't take the work now; `reason` is for the operator alone."""

    def __init__(self, detail: str, *, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


class LockTimeout(DatabaseUnavailable):
    """Another transaction holds what this one needs, and did not end in time."""


class StorageUnavailable(IntakeError):
    """There is no room, or no leave, to hold an upload."""


class OrphanCollectionRefused(IntakeError):
    """Objects in the CV store belong to no lead, and there is reason to doubt that they can be deleted."""


class RateLimiterUnavailable(IntakeError):
    """What clients do can't be counted now, since the store that holds the counts is away."""


class RequestRejected(IntakeError):
    """A request is turned away so that the service stays up for others; `reason` is what is counted."""

    reason = ""


class RateLimited(RequestRejected):
    """A client does something too often; it may again in `retry_after_s` seconds."""

    reason = "rate"

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ServiceBusy(RequestRejected):
    """There is as much under way as there may be: uploads, their bytes (`spool`), `requests`, waits for `threads`."""

    def __init__(self, detail: str, *, reason: str) -> None:
        super().__init__(detail)
        self.reason = reason


class TooManyPendingLogins(RequestRejected):
    """As many passwords wait to be checked as may wait: in all, for one user, or from one network."""

    reason = "logins"


class RequestTimeout(RequestRejected):
    """The body does not arrive in the time that it may take."""

    reason = "slow_body"


class ScannerUnavailable(IntakeError):
    """clamd can't be reached."""


class ScanFailed(IntakeError):
    """clamd was reached, and did not say what a file is."""


class RangeNotSatisfiable(IntakeError):
    """The file, of `size` bytes, has none in the range that was asked for."""

    def __init__(self, detail: str, *, size: int) -> None:
        super().__init__(detail)
        self.size = size


class ChecksumMismatch(IntakeError):
    """What is stored of a CV is not what came in."""


class ScanPending(IntakeError):
    """It is not known yet whether the CV is one to be wary of."""


class CvQuarantined(IntakeError):
    """The CV is one to be wary of."""


class CvTooLargeToScan(IntakeError):
    """The scanner could not scan the CV, so it may be infected."""


class UnknownStatesInUse(IntakeError):
    """Stored leads are in states that the configured list lacks."""


class TemplateInvalid(IntakeError):
    """A mail template can't be rendered."""


class InvalidHostHeader(IntakeError):
    """The request names no host, or more than one."""


class MisdirectedRequest(IntakeError):
    """The request is for a host that this service is not."""


class MalformedBody(IntakeError):
    """The body does not parse as what it says it is."""


class BodyTooLarge(IntakeError):
    """The body, or its file, is larger than the service takes."""


class UnsupportedMediaType(IntakeError):
    """The body is of a media type that the route does not read."""


@dataclass(frozen=True)
class FieldError:
    """One field of a request, and what is wrong with it."""

    field: str
    detail: str


MAX_FIELD_ERRORS = 20  # what is told of a request stays small, whatever was asked


class ValidationError(IntakeError):
    """Fields that parse, and hold what can't be accepted: every one of them at once, up to MAX_FAULTS."""

    def __init__(self, *faults: FieldError) -> None:
        self.faults = faults[:MAX_FIELD_ERRORS]
        super().__init__("; ".join(f"{fault.field}: {fault.detail}" for fault in self.faults))


class AuthenticationRequired(IntakeError):
    """No valid token, or no valid name and password."""


class LoginThrottled(IntakeError):
    """Wrong passwords were tried, and the next try must wait `retry_after_s` seconds."""

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class PermissionDenied(IntakeError):
    """A known user who may not do this."""


class LeadNotFound(IntakeError):
    """No lead has that id."""


class PersonNotFound(IntakeError):
    """No lead has that address."""


class ChangeNotFound(IntakeError):
    """No change has that id."""


class ChangeByAnotherUser(IntakeError):
    """A user would undo another user's change without saying so."""


class IdempotencyKeyInUse(IntakeError):
    """The first submission under this key has not ended yet."""


class StateConflict(IntakeError):
    """The lead is not in the state that the change started from."""


class UsernameTaken(IntakeError):
    """Another user has that name, without regard to case."""


class UserNotFound(IntakeError):
    """No user has that name."""


class LastAdministrator(IntakeError):
    """Without this user there would be no administrator who is not disabled."""
