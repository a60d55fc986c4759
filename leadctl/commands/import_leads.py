"""`leadctl import`."""

import hashlib
import json
import math
import re
from contextlib import nullcontext, suppress
from functools import partial
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
from leadctl.files.csv_import import ERROR, CsvFile, ErrorFile, Row
from leadctl.files.filenames import shown
from leadctl.files.uploads import upload_lead, validate_cv_file
from leadctl.output.formats import Record
from leadctl.retries import retry_call

ATTEMPTS = 5


def command(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV file in UTF-8 with a header.")],
    delimiter: Annotated[
        str | None, typer.Option(metavar="CHAR", help="Delimiter: one character, or tab. Default: detected.")
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File for failed rows. Default: leads.errors.csv for leads.csv."),
    ] = None,
    notify: Annotated[bool, typer.Option("--notify", help="Send confirmations and alerts.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Let the server validate every row and CV without saving them.")
    ] = False,
) -> None:
    """Import leads from a CSV file; repeating it is safe. In a pipe, prints the ids of new leads.

    Required columns: email, f_name, l_name and CV (a path relative to the CSV file). Optional: state, external_id.
    Rows that fail are written to an error file with an error column, to correct and import. If rows of leads.errors.csv
    fail again, they are written to leads.errors-2.csv.

    Examples:
      leadctl import --dry-run leads.csv
      leadctl import leads.csv --errors rejected.csv
    """
    context: Context = ctx.obj
    csv_file = CsvFile(file, _delimiter(delimiter))
    total = sum(1 for _ in csv_file.rows())  # report an unreadable row before sending anything
    with nullcontext() if dry_run else ErrorFile(errors or _error_file(file), csv_file) as failed:
        _Import(context, csv_file, failed, total, notify=notify).run()


def derive_external_id(row: Row, cv: Path) -> str:
    """Return an external id for a row without one, derived from the person and the CV's bytes, not the state."""
    with cv.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    person = {name: row.values.get(name) for name in ("f_name", "l_name")}
    identity = {"CV_sha256": sha256, "email": row.values.get("email", "").casefold(), **person}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return f"import:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _error_file(file: Path) -> Path:
    """Return `leads.errors.csv` for `leads.csv`, then `leads.errors-2.csv` and so on."""
    stem, number = re.fullmatch(r"(.*?)(?:\.errors(?:-([0-9]{1,9}))?)?", file.stem, re.DOTALL).groups()  # type: ignore[union-attr]
    has_errors = stem != file.stem
    return file.with_name(f"{stem}.errors{f'-{int(number or 1) + 1}' if has_errors else ''}{file.suffix}")


class _Import:
    """One run of an import. Without an error file it is a dry run."""

    def __init__(
        self, context: Context, csv_file: CsvFile, errors: ErrorFile | None, total: int, *, notify: bool
    ) -> None:
        self._context, self._file, self._errors, self._total = context, csv_file, errors, total
        self._notify = notify
        self._lines: dict[str, int] = {}  # by external id
        self._new = self._existing = self._failed = 0
        self._newest: float = math.inf  # id of the newest lead so far, infinity if unknown

    def run(self) -> None:
        """Import every row. Raises PartialFailure if rows failed, or the first error that concerns all rows."""
        again = "; run it again to continue; no lead is saved twice" if self._errors else ""
        try:
            if self._errors:
                self._read_newest()
            for row in self._context.progress(self._file.rows(), self._total, "Importing leads"):
                self._handle(row)
        except (KeyboardInterrupt, SystemExit):
            self._context.info(f"interrupted: {self._summary()}{again}")
            raise
        except LeadctlError as error:
            raise type(error)(f"{error} ({self._summary()}{again})") from error
        if self._failed:
            advice = f"; correct them in {shown(self._errors.path)} and import that" if self._errors else ""
            raise PartialFailure(self._summary() + advice)
        self._context.info(self._summary())

    def _handle(self, row: Row) -> None:
        try:
            lead, is_new = self._import(row)
        except (PermissionDenied, NotFound, UnexpectedResponse, TryAgain):
            raise
        except (LeadctlError, OSError) as error:
            text = f"can't read {error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            self._context.info(f"line {row.line}: {text}")
            if self._errors:
                self._errors.add(row, text)
            self._failed += 1
            return
        self._new, self._existing = self._new + is_new, self._existing + (not is_new)
        if is_new and self._errors and not self._context.is_terminal:
            self._context.write_line(str(lead["id"]))

    def _import(self, row: Row) -> tuple[Record, bool]:
        cv = self._check(row)
        fields = {name: value for name, value in row.values.items() if name not in ("CV", ERROR)}
        if "state" in fields:
            fields["state"] = fields["state"].upper()
        if self._notify:
            fields["notify"] = "true"
        fields.setdefault("external_id", derive_external_id(row, cv))
        upload = partial(
            upload_lead,
            self._context.api,
            fields,
            cv,
            transfer=lambda size: self._context.transfer("Uploading a CV", size),
            dry_run=self._errors is None,
        )
        is_repeated = False

        def on_retry(error: TryAgain) -> None:
            nonlocal is_repeated
            is_repeated = True
            self._context.info(f"line {row.line}: {error} (retrying)")

        lead, is_new = retry_call(upload, attempts=ATTEMPTS, on_retry=on_retry)
        number = lead.get("id", 0)  # none for a new lead of a dry run
        # if the response to the first request was lost, the lead exists because of it
        is_new = is_new or (is_repeated and number > self._newest)
        self._newest = max(self._newest, number)
        return lead, is_new

    def _read_newest(self) -> None:
        def read() -> int:
            return max((lead["id"] for lead in self._context.api.leads({}, newest_first=True, limit=1)), default=0)

        with suppress(TryAgain):
            self._newest = retry_call(read, attempts=ATTEMPTS)

    def _summary(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        if self._errors:
            existing = f", {self._existing} already existed" if self._existing else ""
            return f"{self._new} of {self._total} leads imported{existing}{failed}"
        existing = f" ({self._existing} already exist)" if self._existing else ""
        return f"dry run: {self._new + self._existing} of {self._total} leads are valid{existing}{failed}"

    def _check(self, row: Row) -> Path:
        """Return the path of the row's CV. Raises UsageError."""
        if row.error:
            raise UsageError(row.error)
        external_id = row.values.get("external_id")
        if external_id and (line := self._lines.setdefault(external_id, row.line)) != row.line:
            raise UsageError(f"external_id {external_id} is also used in line {line}")
        path = self._file.path.parent / row.values["CV"]
        validate_cv_file(path)
        return path


def _delimiter(text: str | None) -> str | None:
    if text in ("tab", "\\t"):
        return "\t"
    if text is not None and (len(text) != 1 or text in '"\r\n \0'):
        raise UsageError(f"--delimiter is {text!r}; expected one character, or tab")
    return text
