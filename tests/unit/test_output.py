"""The faces of a list."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadctl.errors import Usage
from leadctl.escapes import visible
from leadctl.output import Face, Look, Record, chosen, lines

COLUMNS = ("id", "f_name", "l_name")
text = st.text() | st.text(st.sampled_from("=+-@\t\r\n\",;'a\x1b"))
records = st.lists(
    st.fixed_dictionaries({"id": st.integers(1), "f_name": text | st.none(), "l_name": text}), max_size=5
)


def shown(records: list[Record], face: Face, *, only: bool = False, header: bool = False, raw: bool = False) -> str:
    return "".join(lines(records, Look(face=face, columns=COLUMNS, only=only, header=header, raw=raw)))


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@given(records)
def test_raw_csv_is_read_back_as_it_was(records: list[Record]) -> None:
    head, *rows = read_csv(shown(records, Face.CSV, raw=True))
    assert head == list(COLUMNS)
    assert rows == [["" if record[c] is None else str(record[c]) for c in COLUMNS] for record in records]


@given(records)
def test_csv_holds_no_formula_and_nothing_that_a_terminal_obeys(records: list[Record]) -> None:
    made = shown(records, Face.CSV)
    assert "\x1b" not in made
    _, *rows = read_csv(made)
    for row, record in zip(rows, records, strict=True):
        for cell, column in zip(row, COLUMNS, strict=True):
            assert cell[:1] not in tuple("=+-@\t\r")
            is_formula = str(record[column] or "").startswith(tuple("=+-@\t\r"))
            assert cell == ("'" if is_formula else "") + visible(record[column])


def test_csv_is_rfc_4180() -> None:
    record = {"id": 1, "f_name": 'a "b", c', "l_name": "=1+1"}
    assert shown([record], Face.CSV) == 'id,f_name,l_name\r\n1,"a ""b"", c",\'=1+1\r\n'
    assert shown([], Face.CSV) == "id,f_name,l_name\r\n"


@given(records)
def test_json_and_ndjson_are_exact(records: list[Record]) -> None:
    assert json.loads(shown(records, Face.JSON)) == records
    made = shown(records, Face.NDJSON)
    assert made.count("\n") == len(records)
    assert [json.loads(line) for line in made.splitlines()] == records


@given(records)
def test_plain_has_a_line_for_each_record_and_a_tab_between_fields(records: list[Record]) -> None:
    made = shown(records, Face.PLAIN, header=True).splitlines()
    assert made[0] == "id\tf_name\tl_name"
    assert [line.split("\t") for line in made[1:]] == [[visible(record[c]) for c in COLUMNS] for record in records]


def test_columns_that_are_chosen_are_all_that_json_has() -> None:
    record = {"id": 1, "email": "a@b.c", "f_name": "A", "l_name": "B"}
    assert json.loads(shown([record], Face.NDJSON, only=True)) == {"id": 1, "f_name": "A", "l_name": "B"}
    assert json.loads(shown([record], Face.NDJSON)) == record


def test_chosen() -> None:
    assert chosen("l_name, id,l_name", COLUMNS) == ["l_name", "id"]
    with pytest.raises(Usage, match="there is no column 'name'; the columns are id, f_name, l_name"):
        chosen("id,name", COLUMNS)
    with pytest.raises(Usage):
        chosen("", COLUMNS)
