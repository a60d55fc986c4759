"""CSV files of leads: read row by row, and those rows that failed written down to be mended."""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from leadctl.errors import LeadctlError, UsageError
from leadctl.output.escapes import safe_cell

REQUIRED = ("email", "f_name", "l_name", "CV")
OPTIONAL = ("state", "external_id")
ERROR = "error"  # written, and passed over when read
_KNOWN = {name.casefold(): name for name in (*REQUIRED, *OPTIONAL, ERROR)}
_DELIMITERS = ",;\t"
_BOM = "\ufeff"


@dataclass(frozen=True)
class Row:
    """A row: the line on which it begins, its cells, what is in them by column, and its fault (empty: it has none)."""

    line: int
    cells: Sequence[str]
    values: Mapping[str, str]
    fault: str


class CsvFile:
    """A CSV file, in UTF-8, with the columns of REQUIRED and any of OPTIONAL, in any order. Raises Usage."""

    def __init__(self, path: Path, delimiter: str | None) -> None:
        self.path = path
        with self._reading() as file:
            header = file.readline()
        self.has_bom = header.startswith(_BOM)
        self.delimiter = delimiter or _detected(header.removeprefix(_BOM))
        self.header = next((cells for _, cells in self._lines()), [])
        self.columns = self._checked([name.strip() for name in self.header])

    def rows(self) -> Iterator[Row]:
        """Yield the rows that hold something. Raises Usage where the file can't be read on."""
        lines = self._lines()
        next(lines)
        for line, cells in lines:
            if any(cell.strip() for cell in cells):
                yield self._row(line, cells)

    def _row(self, line: int, cells: Sequence[str]) -> Row:
        values = {name: cell.strip() for name, cell in zip(self.columns, cells, strict=False) if cell.strip()}
        if len(cells) != len(self.columns):
            return Row(line, cells, values, f"has {len(cells)} cells, where the header has {len(self.columns)}")
        missing = [name for name in REQUIRED if name not in values]
        return Row(line, cells, values, f"{', '.join(missing)} required" if missing else "")

    def _checked(self, names: Sequence[str]) -> Sequence[str]:
        columns = [_KNOWN.get(name.casefold(), "") for name in names]
        unknown = [repr(name) for name, column in zip(names, columns, strict=True) if not column]
        if unknown:
            raise self._unusable(f"unknown columns {', '.join(unknown)}")
        if missing := [name for name in REQUIRED if name not in columns]:
            raise self._unusable(f"no column {', '.join(missing)}")
        if len(set(columns)) < len(columns):
            raise self._unusable("a column is there twice")
        return columns

    def _unusable(self, why: str) -> UsageError:
        return UsageError(
            f"{self.path}: {why}; the columns are {', '.join(REQUIRED)}, and if wanted {', '.join(OPTIONAL)}"
        )

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row's cells, and the line on which it begins."""
        with self._reading() as file:
            before = 0
            reader = csv.reader(_without_bom(file), delimiter=self.delimiter, strict=True)
            try:
                for cells in reader:
                    yield before + 1, cells
                    before = reader.line_num
            except csv.Error as error:
                raise UsageError(f"{self.path}, line {before + 1}: {error}") from error

    @contextmanager
    def _reading(self) -> Iterator[IO[str]]:
        try:
            if not self.path.is_file():  # a pipe can't be read twice
                raise UsageError(f"{self.path} is no file")
            with self.path.open(encoding="utf-8", newline="") as file:
                yield file
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is not UTF-8; a spreadsheet saves it so as “CSV UTF-8”") from error
        except OSError as error:
            raise UsageError(f"can't read {self.path}: {error.strerror}") from error


class ErrorFile:
    """Where rows are written that failed, each with its error, as soon as it did; a file that was there gets a `~`."""

    def __init__(self, path: Path, sheet: CsvFile) -> None:
        if path.exists() and path.samefile(sheet.path):
            raise UsageError(f"{path} is what is read; name another file for errors")
        self.path, self._sheet = path, sheet
        self.count = 0
        self._file: IO[str] | None = None
        self._moves = path.absolute().parent != sheet.path.absolute().parent

    def add(self, row: Row, error: str) -> None:
        """Write a row down. Raises LeadctlError where that can't be."""
        cells, further = self._cells(row)
        try:
            file = self._opened()
            writer = csv.writer(file, delimiter=self._sheet.delimiter, lineterminator="\n")
            if not self.count:
                writer.writerow([name for name in self._sheet.columns if name != ERROR] + [ERROR])
            writer.writerow([*cells, safe_cell(error), *further])
            file.flush()
        except OSError as failure:
            raise LeadctlError(f"can't write {self.path}: {failure.strerror}") from failure
        self.count += 1

    def _cells(self, row: Row) -> tuple[Sequence[str], Sequence[str]]:
        """Return a row's cells without its old error, and those past the header's."""
        width = len(self._sheet.columns)
        padded = [*row.cells, *[""] * (width - len(row.cells))]
        cells = [
            str(self._sheet.path.absolute().parent / cell) if name == "CV" and cell.strip() and self._moves else cell
            for name, cell in zip(self._sheet.columns, padded, strict=False)
            if name != ERROR
        ]
        return cells, padded[width:]

    def _opened(self) -> IO[str]:
        if self._file is None:
            if self.path.is_file():
                self.path.replace(self.path.with_name(self.path.name + "~"))  # it may hold what was mended
            elif self.path.is_symlink() and not self.path.exists():
                raise LeadctlError(f"{self.path} is a link to a file that does not exist; remove it")
            encoding = "utf-8-sig" if self._sheet.has_bom else "utf-8"
            number = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(number, "w", encoding=encoding, newline="")
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._file is not None:
            with suppress(OSError):  # it was told of when the row was written
                self._file.close()


def _without_bom(file: IO[str]) -> Iterator[str]:
    first = True
    for line in file:
        yield line.removeprefix(_BOM) if first else line
        first = False


def _detected(header: str) -> str:
    """Return the delimiter under which the most of the header's names are known."""

    def known(delimiter: str) -> int:
        names: list[Any] = next(csv.reader([header], delimiter=delimiter), [])
        return sum(name.strip().casefold() in _KNOWN for name in names)

    return max(_DELIMITERS, key=known)
