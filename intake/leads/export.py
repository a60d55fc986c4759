"""Export of a person's data as a zip, streamed so that memory holds only one chunk."""

import zipfile
from collections.abc import Iterator, Sequence, Set
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Column, Connection, RowMapping, Select, select

from intake.audit import Action, Actor, record
from intake.database import Database
from intake.database.ids import is_among
from intake.database.schema import (
    audit,
    cv,
    cv_text,
    lead,
    lead_consent,
    lead_event,
    lead_field,
    lead_words,
    outbox_mail,
    user_account,
)
from intake.leads import data_subjects
from intake.leads.cv_access import states_needing_force
from intake.leads.data_subjects import DataSubject
from intake.leads.history import FROM_TO, creations
from intake.leads.listing import get_lead, read_cv

BATCH_LEADS = 100
MAX_NAME_BYTES = 200  # most file systems take 255, with the lead's id
OWNER_ONLY = 0o600 << 16  # file mode, in the upper half of a zip entry's attributes
_JSON_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_INDENT_2

# derived columns, and columns that only the service needs
_INTERNAL = {"email_key", "f_name_key", "l_name_key", "last_event_id", "lead_id", "store_url", "store_key"}
_INTERNAL |= {"claim", "claimed_by", "claimed_until", "capped_domain", "held_by"}
_INTERNAL |= {"version", "scan_attempts", "next_scan_at", "scan_claim", "scan_claimed_until"}


# the text is a file of its own
_TEXT_COLUMNS = tuple(cv_text.c[name] for name in ("lead_id", "state", "reason", "pages", "truncated", "guessed"))


def export(database: Database, person: DataSubject, *, actor: Actor, has_scanner: bool) -> Iterator[bytes]:
    """Yield a zip of the person's leads: `person.json` with all stored data, the CVs, and their texts.

    CVs whose download needs force (`states_needing_force`) are omitted: they have no path in `person.json`, and
    `omitted.json` has the ids of their leads. The export is recorded before the first chunk. Raises PersonNotFound,
    LeadNotFound if a lead is erased meanwhile, ChecksumMismatch, StorageUnavailable or DatabaseUnavailable.
    """
    lead_ids = [one.id for one in data_subjects.find_leads(database, person)]
    omitted = database.read(lambda connection: _omitted(connection, lead_ids, has_scanner))
    database.write(lambda connection: _record(connection, lead_ids, actor))
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(_entry("person.json", datetime.now(UTC)), "w") as file:
            for text in _document(database, person, lead_ids, omitted):
                file.write(text)
                yield from buffer.drain()
        if omitted:
            archive.writestr(_entry("omitted.json", datetime.now(UTC)), orjson.dumps(sorted(omitted)))
        for lead_id in (lead_id for lead_id in lead_ids if lead_id not in omitted):
            found = get_lead(database, lead_id)
            with archive.open(_entry(_cv_path(lead_id, found.CV_name), found.created_at), "w") as file:
                for chunk in read_cv(database, found):
                    file.write(chunk)
                    yield from buffer.drain()
            if (extracted := database.read(lambda connection: _text(connection, lead_id))) is not None:  # noqa: B023 - called immediately
                archive.writestr(_entry(_text_path(lead_id), found.created_at), extracted)
    yield from buffer.drain()


class _Buffer:
    """A write-only stream without seeking, which is drained repeatedly."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: writes are not buffered elsewhere."""

    def close(self) -> None:
        """Do nothing: closing the zip must not discard the rest."""

    def drain(self) -> Iterator[bytes]:
        """Yield the bytes written since the last call, if any."""
        written, self._written = self._written, bytearray()
        if written:
            yield bytes(written)


def _omitted(connection: Connection, lead_ids: Sequence[int], has_scanner: bool) -> set[int]:
    states = states_needing_force(has_scanner=has_scanner)
    query = select(cv.c.lead_id).where(is_among(cv.c.lead_id, lead_ids), cv.c.scan_state.in_(states))
    return set(connection.scalars(query))


def _record(connection: Connection, lead_ids: Sequence[int], actor: Actor) -> None:
    for lead_id in lead_ids:
        record(connection, Action.EXPORT, actor, lead_id=lead_id)


def _entry(path: str, timestamp: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, max(timestamp.timetuple()[:6], (1980, 1, 1, 0, 0, 0)))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = OWNER_ONLY
    return entry


def _cv_path(lead_id: int, name: str) -> str:
    """Return a CV's path in the zip: close to its original name, and safe to unpack on any system."""
    safe = "".join(c if c.isprintable() and c not in '<>:"/\\|?*' else "_" for c in name)
    if len(safe.encode()) > MAX_NAME_BYTES:
        stem, dot, extension = safe.rpartition(".")
        suffix = f".{extension[:16]}" if dot else ""
        safe = (stem or safe).encode()[: MAX_NAME_BYTES - len(suffix.encode())].decode(errors="ignore") + suffix
    return f"cvs/{lead_id}-{safe.rstrip('. ')}"


def _text_path(lead_id: int) -> str:
    return f"texts/{lead_id}.txt"


def _text(connection: Connection, lead_id: int) -> str | None:
    return connection.execute(select(cv_text.c.text).where(cv_text.c.lead_id == lead_id)).scalar()


def _document(database: Database, person: DataSubject, lead_ids: Sequence[int], omitted: Set[int]) -> Iterator[bytes]:
    head = orjson.dumps({"email": person.address, "exported_at": datetime.now(UTC)}, option=_JSON_OPTIONS)
    yield head.rstrip(b"}\n") + b',\n  "leads": ['
    separator = b"\n"
    for start in range(0, len(lead_ids), BATCH_LEADS):
        batch = lead_ids[start : start + BATCH_LEADS]
        for one in database.read(lambda connection: _leads(connection, batch, omitted)):  # noqa: B023 - called immediately
            yield separator + orjson.dumps(one, option=_JSON_OPTIONS)
            separator = b",\n"
    yield b"\n  ]\n}\n"


def _leads(connection: Connection, lead_ids: Sequence[int], omitted: Set[int]) -> list[dict[str, Any]]:
    """Return all stored data of some leads, except internal columns."""
    events = select(
        lead_event.c.lead_id, lead_event.c.at, user_account.c.username.label("user"), *FROM_TO, lead_event.c.change_id
    )
    events = events.join(user_account, user_account.c.id == lead_event.c.user_id)
    cvs = _of_leads(connection, select(cv), cv.c.lead_id, lead_ids, order=cv.c.lead_id)
    texts = _of_leads(connection, select(*_TEXT_COLUMNS), cv_text.c.lead_id, lead_ids, order=cv_text.c.lead_id)
    created = _of_leads(connection, creations(), audit.c.lead_id, lead_ids, order=audit.c.id)
    history = _of_leads(connection, events, lead_event.c.lead_id, lead_ids, order=lead_event.c.id)
    fields = _of_leads(connection, select(lead_field), lead_field.c.lead_id, lead_ids, order=lead_field.c.key)
    consents = _of_leads(connection, select(lead_consent), lead_consent.c.lead_id, lead_ids, order=lead_consent.c.key)
    words = _of_leads(connection, select(lead_words), lead_words.c.lead_id, lead_ids, order=lead_words.c.lead_id)
    mails = _of_leads(connection, select(outbox_mail), outbox_mail.c.lead_id, lead_ids, order=outbox_mail.c.id)
    rows = connection.execute(select(lead).where(is_among(lead.c.id, lead_ids)).order_by(lead.c.id)).mappings()
    return [
        {
            **_public(row),
            "fields": [_answer(one) for one in fields.get(row["id"], ())],
            "consents": [_answer(one) for one in consents.get(row["id"], ())],
            "CV": next((_public(one) for one in cvs.get(row["id"], ())), None),
            "CV_path": None if row["id"] in omitted else _cv_path(row["id"], row["CV_name"]),
            "CV_text": next((_public(one) for one in texts.get(row["id"], ())), None),
            "search": next((_public(one) for one in words.get(row["id"], ())), None),
            "history": [_public(one) for found in (created, history) for one in found.get(row["id"], ())],
            "mails": [_public(one) for one in mails.get(row["id"], ())],
        }
        for row in rows
    ]


def _of_leads(
    connection: Connection, query: Select[Any], column: Column[int], lead_ids: Sequence[int], *, order: Column[Any]
) -> dict[int, list[RowMapping]]:
    found: dict[int, list[RowMapping]] = {}
    for row in connection.execute(query.where(is_among(column, lead_ids)).order_by(order)).mappings():
        found.setdefault(row["lead_id"], []).append(row)
    return found


def _answer(row: RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name != "lead_id"}


def _public(row: RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name not in _INTERNAL}
