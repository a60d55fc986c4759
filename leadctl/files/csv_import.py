"""CSV files of leads, and error files with the rows that failed."""

import csv
import filecmp
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, Self

from leadctl.errors import LeadctlError, UsageError
from leadctl.files.filenames import check_target
from leadctl.output.escapes import safe_cell

REQUIRED = ("email", "f_name", "l_name", "CV")
OPTIONAL = ("state", "external_id")
ERROR = "error"  # in error files; ignored when read
_KNOWN = {name.casefold(): name for name in (*REQUIRED, *OPTIONAL, ERROR)}
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Row:
    """A row: its first line number, its cells, the values by column, and its error ("" if valid)."""

    line: int
    cells: Sequence[str]
    values: Mapping[str, str]
    error: str


class CsvFile:
    """A UTF-8 CSV file with the REQUIRED columns and any OPTIONAL ones, in any order. Raises UsageError."""

    def __init__(self, path: Path, delimiter: str | None) -> None:
        self.path = path
        self.encoding = "utf-8"
        with self._open() as file:
            if file.read(1) == "\ufeff":
                self.encoding = "utf-8-sig"
        with self._open() as file:
            self.delimiter = delimiter or _detect_delimiter(file.readline())
        self.header = next((cells for _, cells in self._lines()), [])
        self.columns = self._validate_columns([name.strip() for name in self.header])

    def rows(self) -> Iterator[Row]:
        """Yield the rows that are not empty. Raises UsageError if the file can't be read."""
        lines = self._lines()
        next(lines)
        for line, cells in lines:
            if any(cell.strip() for cell in cells):
                yield self._row(line, cells)

    def _row(self, line: int, cells: Sequence[str]) -> Row:
        values = {name: cell.strip() for name, cell in zip(self.columns, cells, strict=False) if cell.strip()}
        if len(cells) != len(self.columns):
            return Row(line, cells, values, f"has {len(cells)} cells; the header has {len(self.columns)}")
        missing = [name for name in REQUIRED if name not in values]
        # without a CV nothing can be sent; otherwise the server reports all errors of the row at once
        return Row(line, cells, values, f"{', '.join(missing)}: required" if "CV" in missing else "")

    def _validate_columns(self, names: Sequence[str]) -> Sequence[str]:
        columns = [_KNOWN.get(name.casefold(), "") for name in names]
        unknown = [repr(name) for name, column in zip(names, columns, strict=True) if not column]
        if unknown:
            raise self._usage_error(f"unknown columns {', '.join(unknown)}")
        if missing := [name for name in REQUIRED if name not in columns]:
            raise self._usage_error(f"missing columns {', '.join(missing)}")
        if len(set(columns)) < len(columns):
            raise self._usage_error("duplicate column")
        return columns

    def _usage_error(self, reason: str) -> UsageError:
        columns = f"{', '.join(REQUIRED)}; optional: {', '.join(OPTIONAL)}"
        return UsageError(f"{self.path}: {reason} (required columns: {columns})")

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row's first line number and its cells."""
        with self._open() as file:
            last_line = 0
            reader = csv.reader(file, delimiter=self.delimiter, strict=True)
            try:
                for cells in reader:
                    yield last_line + 1, cells
                    last_line = reader.line_num
            except csv.Error as error:
                raise UsageError(f"{self.path}, line {last_line + 1}: {error}") from error

    @contextmanager
    def _open(self) -> Iterator[IO[str]]:
        try:
            if not self.path.is_file():  # a pipe can't be read twice
                raise UsageError(f"{self.path}: {'not a file' if self.path.exists() else 'no such file'}")
            with self.path.open(encoding=self.encoding, newline="") as file:
                yield file
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is not UTF-8; in a spreadsheet program, save it as “CSV UTF-8”") from error
        except OSError as error:
            raise UsageError(f"can't read {self.path}: {error.strerror}") from error


class ErrorFile:
    """A CSV file of failed rows with their errors; an existing one becomes a numbered backup, such as `NAME.~1~`."""

    def __init__(self, path: Path, csv_file: CsvFile) -> None:
        check_target(path)
        if path.exists() and path.samefile(csv_file.path):
            raise UsageError(f"{path} is the file to import; use another one for --errors")
        self.path, self._csv_file = path, csv_file
        self.count = 0
        self._file: IO[str] | None = None
        self._has_other_directory = path.absolute().parent != csv_file.path.absolute().parent

    def add(self, row: Row, error: str) -> None:
        """Append a row. Raises LeadctlError if it can't be written."""
        cells, extra = self._cells(row)
        try:
            file = self._ensure_open()
            writer = csv.writer(file, delimiter=self._csv_file.delimiter, lineterminator="\n")
            if not self.count:
                writer.writerow([name for name in self._csv_file.columns if name != ERROR] + [ERROR])
            writer.writerow([*cells, safe_cell(error), *extra])
            file.flush()
        except OSError as failure:
            raise LeadctlError(f"can't write {self.path}: {failure.strerror}") from failure
        self.count += 1

    def _cells(self, row: Row) -> tuple[Sequence[str], Sequence[str]]:
        """Return the row's cells without an old error, and the cells beyond the header."""
        width = len(self._csv_file.columns)
        padded = [*row.cells, *[""] * (width - len(row.cells))]
        cells = [
            str(self._csv_file.path.absolute().parent / cell.strip())
            if name == "CV" and cell.strip() and self._has_other_directory
            else cell
            for name, cell in zip(self._csv_file.columns, padded, strict=False)
            if name != ERROR
        ]
        return cells, padded[width:]

    def _ensure_open(self) -> IO[str]:
        if self._file is None:
            is_device = self.path.exists() and not self.path.is_file()
            if self.path.is_file():
                _back_up(self.path)
            elif self.path.is_symlink() and not is_device:
                raise LeadctlError(f"{self.path} is a link to a file that does not exist; remove it")
            flags = 0 if is_device else os.O_CREAT | os.O_EXCL  # never through a link that was just made
            number = os.open(self.path, os.O_WRONLY | flags, 0o600)
            self._file = os.fdopen(number, "w", encoding=self._csv_file.encoding, newline="")
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._file is not None:
            with suppress(OSError):  # add() has already reported it
                self._file.close()


def _back_up(path: Path) -> None:
    """Rename a file, which may contain corrections; an older backup stays unless it is the same."""
    for number in count(1):
        backup = path.with_name(f"{path.name}.~{number}~")
        if not os.path.lexists(backup) or (backup.is_file() and filecmp.cmp(path, backup, shallow=False)):
            path.replace(backup)
            return


def _detect_delimiter(header: str) -> str:
    """Return the delimiter that gives the most known column names, or the most columns if none is known."""

    def known(delimiter: str) -> tuple[int, int]:
        try:
            names: list[Any] = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error:  # as when the file is read, which reports it
            return 0, 0
        return sum(name.strip().casefold() in _KNOWN for name in names), len(names)

    return max(_DELIMITERS, key=known)
