"""Who may have a CV, and who had it."""

from intake import audit
from intake.audit import Action, Origin
from intake.database import Database
from intake.errors import CvBeingScanned, CvQuarantined
from intake.leads.records import CvFacts, ScanState


def check(lead_id: int, cv: CvFacts, *, force: bool) -> None:
    """Raise CvQuarantined or CvBeingScanned where the CV is given only to who asks for it by `force`."""
    if force:
        return
    if cv.scan_state is ScanState.QUARANTINED:
        raise CvQuarantined(f"the CV of lead {lead_id} is quarantined ({cv.signature}); it is given only with force")
    if cv.scan_state is ScanState.SCANNING:
        raise CvBeingScanned(
            f"the CV of lead {lead_id} is not scanned yet; try again in a moment, or ask for it with force"
        )


def record(database: Database, lead_id: int, cv: CvFacts, origin: Origin, *, is_part: bool) -> None:
    """Record that the CV, or a part of it, is given out; parts are recorded once per user, lead and hour.

    Raises DatabaseUnavailable: what can't be recorded is not given.
    """
    action, detail = Action.DOWNLOAD, None
    if cv.scan_state in (ScanState.QUARANTINED, ScanState.SCANNING):
        action, detail = Action.QUARANTINE_DOWNLOAD, cv.signature or "not scanned yet"
    record_it = audit.record_series if is_part else audit.record_alone
    record_it(database, action, origin, lead_id=lead_id, detail=detail)
