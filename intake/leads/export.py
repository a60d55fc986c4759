"""All that is kept of one person, as a zip that is made while it is sent: memory holds a piece of it at a time."""

import zipfile
from collections.abc import Iterator, Sequence, Set
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Column, Connection, RowMapping, Select, select

from intake.audit import Action, Actor, record
from intake.database import Database
from intake.database.ids import is_among
from intake.database.schema import audit, cv, lead, lead_event, outbox_mail, user_account
from intake.leads import data_subjects
from intake.leads.cv_access import withheld_states
from intake.leads.data_subjects import DataSubject
from intake.leads.history import FROM_TO, creations
from intake.leads.listing import get_lead, read_cv

LEADS_AT_ONCE = 100
MAX_NAME_CHARACTERS = 100
OWNERS_ALONE = 0o600 << 16  # a file's mode, where a zip keeps it
_MAKE = orjson.OPT_UTC_Z | orjson.OPT_INDENT_2

# what is made of other columns, and what only the service needs
_INTERNAL = {"email_key", "f_name_key", "l_name_key", "last_event_id", "lead_id", "store_url", "store_key"}
_INTERNAL |= {"claim", "claimed_by", "claimed_until", "capped_domain", "held_by"}
_INTERNAL |= {"scan_attempts", "next_scan_at", "scan_claim", "scan_claimed_until"}


def export(database: Database, person: DataSubject, *, origin: Actor, has_scanner: bool) -> Iterator[bytes]:
    """Yield a zip of the person's leads: `person.json` with all that is kept of each, and the CVs in `cvs/`.

    CVs that are given only with force (`withheld_states`) are left out, and have no path in `person.json`. The export
    is recorded before the first piece. Raises PersonNotFound, LeadNotFound where a lead is erased meanwhile,
    CvDamaged, StorageUnavailable or DatabaseUnavailable.
    """
    numbers = [one.id for one in data_subjects.find_leads(database, person)]
    withheld = database.read(lambda connection: _withheld(connection, numbers, has_scanner))
    database.write(lambda connection: _record(connection, numbers, origin))
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(_entry("person.json", datetime.now(UTC)), "w") as file:
            for text in _document(database, person, numbers, withheld):
                file.write(text)
                yield from pieces.taken()
        for number in (one for one in numbers if one not in withheld):
            found = get_lead(database, number)
            with archive.open(_entry(_cv_path(number, found.CV_name), found.created_at), "w") as file:
                for piece in read_cv(database, found):
                    file.write(piece)
                    yield from pieces.taken()
    yield from pieces.taken()


class _Pieces:
    """A stream that can't be gone back in, and gives away what was written to it."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: what is written is there."""

    def close(self) -> None:
        """Do nothing: it is the zip that ends."""

    def taken(self) -> Iterator[bytes]:
        """Yield what was written since the last time, if anything was."""
        written, self._written = self._written, bytearray()
        if written:
            yield bytes(written)


def _withheld(connection: Connection, numbers: Sequence[int], has_scanner: bool) -> set[int]:
    states = withheld_states(has_scanner=has_scanner)
    query = select(cv.c.lead_id).where(is_among(cv.c.lead_id, numbers), cv.c.scan_state.in_(states))
    return set(connection.scalars(query))


def _record(connection: Connection, numbers: Sequence[int], origin: Actor) -> None:
    for number in numbers:
        record(connection, Action.EXPORT, origin, lead_id=number)


def _entry(path: str, moment: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, max(moment.timetuple()[:6], (1980, 1, 1, 0, 0, 0)))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = OWNERS_ALONE
    return entry


def _cv_path(number: int, name: str) -> str:
    """Return where a CV stands in the zip: near to its sender's name, and harmless wherever it is unpacked."""
    plain = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in name)
    stem, dot, ending = plain.rpartition(".")
    if len(plain) > MAX_NAME_CHARACTERS:
        plain = stem[:MAX_NAME_CHARACTERS] + dot + ending[:16] if dot else plain[:MAX_NAME_CHARACTERS]
    return f"cvs/{number}-{plain.rstrip('. ')}"


def _document(database: Database, person: DataSubject, numbers: Sequence[int], withheld: Set[int]) -> Iterator[bytes]:
    head = orjson.dumps({"email": person.address, "exported_at": datetime.now(UTC)}, option=_MAKE)
    yield head.rstrip(b"}\n") + b',\n  "leads": ['
    before = b"\n"
    for start in range(0, len(numbers), LEADS_AT_ONCE):
        some = numbers[start : start + LEADS_AT_ONCE]
        for one in database.read(lambda connection: _leads(connection, some, withheld)):  # noqa: B023 - run at once
            yield before + orjson.dumps(one, option=_MAKE)
            before = b",\n"
    yield b"\n  ]\n}\n"


def _leads(connection: Connection, numbers: Sequence[int], withheld: Set[int]) -> list[dict[str, Any]]:
    """Return all that is kept of some leads, as it is told."""
    events = select(
        lead_event.c.lead_id, lead_event.c.at, user_account.c.username.label("user"), *FROM_TO, lead_event.c.change_id
    )
    events = events.join(user_account, user_account.c.id == lead_event.c.user_id)
    cvs = _of_leads(connection, select(cv), cv.c.lead_id, numbers, order=cv.c.lead_id)
    created = _of_leads(connection, creations(), audit.c.lead_id, numbers, order=audit.c.id)
    history = _of_leads(connection, events, lead_event.c.lead_id, numbers, order=lead_event.c.id)
    mails = _of_leads(connection, select(outbox_mail), outbox_mail.c.lead_id, numbers, order=outbox_mail.c.id)
    rows = connection.execute(select(lead).where(is_among(lead.c.id, numbers)).order_by(lead.c.id)).mappings()
    return [
        {
            **_told(row),
            "CV": next((_told(one) for one in cvs.get(row["id"], ())), None),
            "CV_path": None if row["id"] in withheld else _cv_path(row["id"], row["CV_name"]),
            "history": [_told(one) for found in (created, history) for one in found.get(row["id"], ())],
            "mails": [_told(one) for one in mails.get(row["id"], ())],
        }
        for row in rows
    ]


def _of_leads(
    connection: Connection, query: Select[Any], column: Column[int], numbers: Sequence[int], *, order: Column[int]
) -> dict[int, list[RowMapping]]:
    found: dict[int, list[RowMapping]] = {}
    for row in connection.execute(query.where(is_among(column, numbers)).order_by(order)).mappings():
        found.setdefault(row["lead_id"], []).append(row)
    return found


def _told(row: RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name not in _INTERNAL}
