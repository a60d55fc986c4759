"""`leadctl import`."""

import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import (
    LeadctlError,
    NotFound,
    PartialFailure,
    PermissionDenied,
    TryAgain,
    UnexpectedResponse,
    UsageError,
)
from leadctl.files.csv_import import CsvFile, ErrorFile, Row
from leadctl.files.uploads import check_cv, send
from leadctl.output.formats import Record
from leadctl.retries import retried

TRIES = 5
_SENT = ("email", "f_name", "l_name", "state", "external_id")
_AGAIN = "run it again to go on: no lead is kept twice"


def command(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file, in UTF-8, with a header.")],
    delimiter: Annotated[
        str | None, typer.Option(help="What is between its cells: a character, or tab; else found out.")
    ] = None,
    errors: Annotated[
        Path | None, typer.Option(help="Where rows go that fail; else FILE with .errors before its ending.")
    ] = None,
    notify: Annotated[bool, typer.Option("--notify", help="Send confirmations and alerts, as for new leads.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Have the server check every row and CV, and save nothing.")
    ] = False,
) -> None:
    """Enter the leads of a CSV file, each once, however often it is run; in a pipe, the ids of new ones are printed.

    Columns: email, f_name, l_name and CV (a path, seen from the file's directory); if wanted, state and external_id.
    Rows that fail are written to a file of their own with an error column, to be mended and imported.

    Examples: leadctl import --dry-run leads.csv

    leadctl import leads.csv --errors to-mend.csv
    """
    context: Context = ctx.obj
    sheet = CsvFile(file, _delimiter(delimiter))
    total = sum(1 for _ in sheet.rows())  # what can't be read is told before anything is sent
    if dry_run:
        _Import(context, sheet, None, total, notify=notify).run()
        return
    with ErrorFile(errors or file.with_name(f"{file.stem}.errors{file.suffix}"), sheet) as failed:
        _Import(context, sheet, failed, total, notify=notify).run()


def made_external_id(row: Row, cv: Path) -> str:
    """Return the external id of a row that has none, made of its person and its CV's bytes and not of its state."""
    with cv.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    made_of = {"CV_sha256": sha256, **{name: row.values[name] for name in ("email", "f_name", "l_name")}}
    canonical = json.dumps(made_of, sort_keys=True, separators=(",", ":"))
    return f"import:{hashlib.sha256(canonical.encode()).hexdigest()}"


class _Import:
    """One run: what came of each row so far. A run without a file for errors is a dry run."""

    def __init__(self, context: Context, sheet: CsvFile, errors: ErrorFile | None, total: int, *, notify: bool) -> None:
        self._context, self._sheet, self._errors, self._total = context, sheet, errors, total
        self._notify = notify
        self._rows = _Rows(sheet)
        self._new = self._known = self._failed = 0

    def run(self) -> None:
        """Enter every row. Raises PartialFailure where some failed, or the first error that is not a row's own."""
        try:
            for row in self._context.progress(self._sheet.rows(), self._total, "Importing leads"):
                self._handle(row)
        except (KeyboardInterrupt, SystemExit):
            self._context.say(f"interrupted: {self._account()}{self._again}")
            raise
        except LeadctlError as error:
            raise type(error)(f"{error} ({self._account()}{self._again})") from error
        if self._failed:
            advice = f"; mend them in {self._errors.path} and import that" if self._errors else ""
            raise PartialFailure(self._account() + advice)
        self._context.say(self._account())

    def _handle(self, row: Row) -> None:
        try:
            lead, is_new = self._enter(row)
        except (PermissionDenied, NotFound, UnexpectedResponse, TryAgain):
            raise
        except (LeadctlError, OSError) as error:
            text = f"can't read {error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            self._context.say(f"line {row.line}: {text}")
            if self._errors:
                self._errors.add(row, text)
            self._failed += 1
            return
        self._new, self._known = self._new + is_new, self._known + (not is_new)
        if is_new and self._errors and not self._context.is_terminal:
            self._context.print(str(lead["id"]))

    def _enter(self, row: Row) -> tuple[Record, bool]:
        cv = self._rows.check(row)
        fields = {name: row.values[name] for name in _SENT if name in row.values}
        fields |= {"notify": "true"} if self._notify else {}
        fields.setdefault("external_id", made_external_id(row, cv))
        return retried(
            lambda: send(
                self._context.api,
                fields,
                cv,
                transfer=lambda size: self._context.transfer("Sending a CV", size),
                dry_run=self._errors is None,
            ),
            tries=TRIES,
            tell=lambda error: self._context.say(f"line {row.line}: {error} (trying again)"),
        )

    def _account(self) -> str:
        done = f"{self._new + self._known} of {self._total} leads are"
        known = f" ({self._known} of them before)" if self._known else ""
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{done} kept{known}{failed}" if self._errors else f"dry run: {done} valid{known}{failed}"

    @property
    def _again(self) -> str:
        return f"; {_AGAIN}" if self._errors else ""


class _Rows:
    """The rows of a file, checked as they can be here."""

    def __init__(self, sheet: CsvFile) -> None:
        self._directory = sheet.path.parent
        self._lines: dict[str, int] = {}

    def check(self, row: Row) -> Path:
        """Return where the row's CV is. Raises Usage."""
        if row.fault:
            raise UsageError(row.fault)
        if "@" not in row.values["email"]:
            raise UsageError(f"email: {row.values['email']!r} is no address")
        external_id = row.values.get("external_id")
        if external_id and (line := self._lines.setdefault(external_id, row.line)) != row.line:
            raise UsageError(f"external_id {external_id} is that of line {line}, too")
        path = self._directory / row.values["CV"]
        check_cv(path)
        return path


def _delimiter(text: str | None) -> str | None:
    if text in ("tab", "\\t"):
        return "\t"
    if text is not None and (len(text) != 1 or text in '"\r\n \0'):
        raise UsageError(f"--delimiter is {text!r}; expected one character, or tab")
    return text
