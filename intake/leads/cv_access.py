"""CV download authorization and audit."""

from collections.abc import Mapping, Set

from intake import audit
from intake.audit import Action, Actor
from intake.database import Database
from intake.errors import CvQuarantined, CvTooLargeToScan, IntakeError, ScanPending
from intake.leads.models import LeadWithCv, ScanState

_REFUSALS: Mapping[str, tuple[type[IntakeError], str]] = {
    ScanState.QUARANTINED: (CvQuarantined, "is quarantined ({}); use force to download it anyway"),
    ScanState.SCANNING: (ScanPending, "is not scanned yet; try again later, or use force to download it anyway"),
    ScanState.TOO_LARGE: (CvTooLargeToScan, "was too large to scan; use force to download it anyway"),
}
_DETAILS: Mapping[str, str] = {ScanState.SCANNING: "not scanned yet", ScanState.TOO_LARGE: "too large to scan"}


def states_needing_force(*, has_scanner: bool) -> Set[str]:
    """Return the scan states in which a download needs `force`.

    Without a scanner, CVs that are too large to scan are treated like all other unscanned ones.
    """
    return _REFUSALS.keys() if has_scanner else _REFUSALS.keys() - {ScanState.TOO_LARGE}


def check(lead: LeadWithCv, *, force: bool, has_scanner: bool) -> None:
    """Raise CvQuarantined, ScanPending or CvTooLargeToScan if a download needs `force` and lacks it."""
    if not force and lead.CV.scan_state in states_needing_force(has_scanner=has_scanner):
        error, detail = _REFUSALS[lead.CV.scan_state]
        raise error(f"the CV of lead {lead.id} {detail.format(lead.CV.signature)}")


def record(database: Database, lead: LeadWithCv, actor: Actor, *, is_range: bool, has_scanner: bool) -> None:
    """Record a download; ranges are recorded once per user, lead and hour.

    Raises DatabaseUnavailable: the CV must not be sent then.
    """
    action, detail, cv = Action.DOWNLOAD, None, lead.CV
    if cv.scan_state in states_needing_force(has_scanner=has_scanner):
        action, detail = Action.QUARANTINE_DOWNLOAD, cv.signature or _DETAILS.get(cv.scan_state)
    record_download = audit.record_series if is_range else audit.record_alone
    record_download(database, action, actor, lead_id=lead.id, detail=detail)
