"""Facts about a lead and its CV, as escaped text."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.filesize import decimal

from leadctl.output.cautions import cautions, opening_cautions
from leadctl.output.escapes import escape_control
from leadctl.output.formats import Record
from leadctl.output.tables import marked
from leadctl.times import format_duration
from leadctl.triage.pages import wrap

OTHERS_SHOWN = 4
FIELD_MARK = "  | "  # before the further lines of a field
FIELD_COLUMNS = 50  # of the text of a field; with the mark it fits the smallest screen
_REMEDIES = {"open": "Press o to open", "pending": "It appears here when it is ready."}
_PLAIN_REMEDIES = {"open": "Enter w to save", "pending": "Press Enter to look again."}
_NO_TEXT = {
    "pending": "The text is still being extracted. {pending}",
    "empty": "The file contains no text; it may be a scanned image. {open} it.",
    "off": "The server does not extract text. {open} the CV.",
    "quarantined": "The CV is quarantined, so its text was not extracted.",
    "too-large-to-scan": "The CV is too large to scan, so its text was not extracted.",
    "encrypted": "The file is password-protected. {open} it.",
    "damaged": "The file is damaged, so its text can't be extracted. {open} it.",
    "unsupported": "No text is extracted from files of this type. {open} it.",
    "timeout": "The extraction of the text took too long. {open} the CV.",
}
_NO_TEXT_OTHERWISE = "The text can't be extracted. {open} the CV."


class Facts:
    """A lead, and other leads of the same address, newest first. All texts but `cv_name` are safe to show."""

    def __init__(self, lead: Record, others: Sequence[Record]) -> None:
        self.lead_id, self.state, self.others = int(lead["id"]), str(lead["state"]), others
        self.full_name = escape_control(f"{lead['f_name']} {lead['l_name']}")
        self.name = marked(self.full_name)
        self.email = marked(escape_control(lead["email"]))
        self.file = marked(escape_control(lead["CV_name"]))
        self.size = decimal(lead["CV_size"])
        self.scan = escape_control(lead["CV_scan_state"])
        self.suspect = escape_control(lead["suspect"]) if lead.get("suspect") else None
        self.cv_name = str(lead["CV_name"])  # not escaped: for the name of a file
        self.cautions = [escape_control(text) for text in cautions(lead)]
        self.opening_cautions = [escape_control(text) for text in opening_cautions(lead)]
        self._fields = {name: str(value) for name, value in lead.items() if name.startswith("fields.")}
        self._created_at = str(lead["created_at"])

    @property
    def age(self) -> str:
        """The time since the submission."""
        try:
            return format_duration((datetime.now(UTC) - datetime.fromisoformat(self._created_at)).total_seconds())
        except (ValueError, TypeError, OverflowError):
            return escape_control(self._created_at)

    @property
    def warnings(self) -> list[str]:
        """A sign of spam, and the cautions about the CV."""
        return [*([f"suspect: {self.suspect}"] if self.suspect else []), *self.cautions]

    @property
    def fields_text(self) -> str:
        """The values of the firm's own fields, for the start of the text; empty if there are none.

        All lines of a field but the first are marked, or a sender could write lines like another field or the text.
        """
        fields = [f"{name.removeprefix('fields.')}: {value}" for name, value in self._fields.items()]
        return "".join([*map(_marked_lines, fields), "\n"]) if fields else ""

    @property
    def others_text(self) -> str:
        """The other leads of the address with their states; empty if there are none."""
        listed = [f"{one['id']} {escape_control(one['state'])}" for one in self.others[:OTHERS_SHOWN]]
        rest = len(self.others) - len(listed)
        more = [f"{rest} more"] if rest > 0 else []
        return f"same address: {', '.join([*listed, *more])}" if listed else ""

    def lines(self, *, with_warnings: bool = True) -> list[str]:
        """Return everything as lines, for a narrow column or `--plain`."""
        found = [self.name, self.email, f"{self.file}  {self.size}", self.scan]
        found += [f"! {text}" for text in self.warnings if with_warnings]
        return [*found, f"↺ {self.others_text}"] if self.others else found


def _marked_lines(field: str) -> str:
    """Return the lines of a field, wrapped so that no screen wraps them again without the mark."""
    rows = [row.rstrip() for line in field.split("\n") for row in wrap(line, FIELD_COLUMNS)]
    return f"\n{FIELD_MARK}".join(rows) + "\n"


def missing_text(cv_text: Record, *, plain: bool = False) -> str | None:
    """Return why there is no text, and what to do; None if there is a text. With `plain`, in the words of `--plain`."""
    if cv_text["state"] == "done" and cv_text["text"]:
        return None
    reason = cv_text["reason"] or ("empty" if cv_text["state"] == "done" else cv_text["state"])
    remedies = _PLAIN_REMEDIES if plain else _REMEDIES
    return _NO_TEXT.get(str(reason), _NO_TEXT_OTHERWISE).format_map(remedies)


def text_label(cv_text: Record) -> str:
    """Return the caption of an extracted text."""
    notes = ["extracted text; layout lost"]
    notes += ["only its beginning"] if cv_text["truncated"] else []
    notes += ["character encoding guessed"] if cv_text["guessed"] else []
    return " · ".join(notes)


def history_text(lead_id: int, events: Sequence[Record]) -> str:
    """Return the state changes of a lead as lines."""
    lines = [f"History of lead {lead_id}", ""]
    for event in events:
        change = f"{event['from']} → {event['to']}" if event["from"] else f"created as {event['to']}"
        lines.append(f"{str(event['at'])[:19].replace('T', ' ')} UTC  {event['user']}  {change}")
    return "\n".join(lines if events else [*lines, "No changes."])
