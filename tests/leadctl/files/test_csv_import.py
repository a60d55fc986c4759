"""Error files of imports."""

from pathlib import Path

import pytest

from leadctl.files.csv_import import CsvFile, ErrorFile


@pytest.fixture
def leads(tmp_path: Path) -> CsvFile:
    file = tmp_path / "leads.csv"
    file.write_text("email, f_name, l_name, CV\nada@example.com, Ada, King, cv.txt\n")
    return CsvFile(file, None)


def write(errors: Path, leads: CsvFile) -> None:
    with ErrorFile(errors, leads) as file:
        for row in leads.rows():
            file.add(row, "wrong")


def test_a_path_has_no_blanks_around_it(leads: CsvFile, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    errors = tmp_path / "elsewhere/errors.csv"
    write(errors, leads)
    [row] = CsvFile(errors, None).rows()
    assert row.values["CV"] == str(tmp_path / "cv.txt")


def test_no_correction_is_lost(leads: CsvFile, tmp_path: Path) -> None:
    errors = tmp_path / "leads.errors.csv"
    for corrected in ("first", "second", "second"):
        errors.write_text(corrected)
        write(errors, leads)
    saved = {path.name: path.read_text() for path in tmp_path.glob("leads.errors.csv?*")}
    assert saved == {"leads.errors.csv.~1~": "first", "leads.errors.csv.~2~": "second"}
    assert "wrong" in errors.read_text()
