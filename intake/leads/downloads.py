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


def record(database: Database, lead_id: int, cv: CvFacts, origin: Origin) -> None:
    """Write down that the CV is given out. Raises DatabaseUnavailable: what can't be recorded is not given."""
    action, detail = Action.DOWNLOAD, None
    if cv.scan_state in (ScanState.QUARANTINED, ScanState.SCANNING):
        action, detail = Action.QUARANTINE_DOWNLOAD, cv.signature or "not scanned yet"
    database.write(lambda connection: audit.record(connection, action, origin, lead_id=lead_id, detail=detail))
