"""CV download authorization and audit."""

from collections.abc import Mapping, Set

from intake import audit
from intake.audit import Action, Actor
from intake.database import Database
from intake.errors import CvQuarantined, CvTooLargeToScan, IntakeError, ScanPending
from intake.leads.models import LeadWithCv, ScanState

_REFUSALS: Mapping[str, tuple[type[IntakeError], str]] = {
    ScanState.QUARANTINED: (CvQuarantined, "is quarantined ({}); it is given only with force"),
    ScanState.SCANNING: (ScanPending, "is not scanned yet; try again in a moment, or ask for it with force"),
    ScanState.TOO_LARGE: (CvTooLargeToScan, "was too large to scan; it is given only with force"),
}
_DETAILS: Mapping[str, str] = {ScanState.SCANNING: "not scanned yet", ScanState.TOO_LARGE: "too large to scan"}


def withheld_states(*, has_scanner: bool) -> Set[str]:
    """Return the states in which a CV is given only with force.

    A service without a scanner does not tell large CVs from others, which it has not scanned either.
    """
    return _REFUSALS.keys() if has_scanner else _REFUSALS.keys() - {ScanState.TOO_LARGE}


def check(lead: LeadWithCv, *, force: bool, has_scanner: bool) -> None:
    """Raise CvQuarantined, CvBeingScanned or CvTooLargeToScan where the CV is given only with `force`."""
    if not force and lead.CV.scan_state in withheld_states(has_scanner=has_scanner):
        kind, why = _REFUSALS[lead.CV.scan_state]
        raise kind(f"the CV of lead {lead.id} {why.format(lead.CV.signature)}")


def record(database: Database, lead: LeadWithCv, origin: Actor, *, is_part: bool, has_scanner: bool) -> None:
    """Record that the CV, or a part of it, is given out; parts are recorded once per user, lead and hour.

    Raises DatabaseUnavailable: what can't be recorded is not given.
    """
    action, detail, cv = Action.DOWNLOAD, None, lead.CV
    if cv.scan_state in withheld_states(has_scanner=has_scanner):
        action, detail = Action.QUARANTINE_DOWNLOAD, cv.signature or _DETAILS.get(cv.scan_state)
    record_it = audit.record_series if is_part else audit.record_alone
    record_it(database, action, origin, lead_id=lead.id, detail=detail)
