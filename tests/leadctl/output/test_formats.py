"""Output formats of lists."""

import csv
import io
import json
import re
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadctl.errors import UsageError
from leadctl.output.escapes import escape_control
from leadctl.output.formats import OutputFormat, OutputOptions, Record, lines, member_lines, parse_columns

COLUMNS = ("id", "f_name", "l_name")
text = st.text() | st.text(st.sampled_from("=+-@\t\r\n\",;|'a \x1b＝"))
records = st.lists(
    st.fixed_dictionaries({"id": st.integers(1), "f_name": text | st.none(), "l_name": text}), max_size=5
)


def shown(
    records: list[Record], output_format: OutputFormat, *, only: bool = False, header: bool = False, raw: bool = False
) -> str:
    return "".join(
        lines(
            records,
            OutputOptions(output_format=output_format, columns=COLUMNS, is_selection=only, header=header, raw=raw),
        )
    )


def read_csv(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=delimiter == ","))


@given(records)
def test_raw_csv_round_trips(records: list[Record]) -> None:
    head, *rows = read_csv(shown(records, OutputFormat.CSV, raw=True))
    assert head == list(COLUMNS)
    assert rows == [["" if record[c] is None else str(record[c]) for c in COLUMNS] for record in records]


@given(records)
def test_csv_contains_no_formula_and_no_control_character(records: list[Record]) -> None:
    made = shown(records, OutputFormat.CSV)
    assert "\x1b" not in made
    _, *rows = read_csv(made)
    for row, record in zip(rows, records, strict=True):
        for cell, column in zip(row, COLUMNS, strict=True):
            is_formula = re.search(r'(^|[;|])[\s"]*[=+\-@＝]', escape_control(record[column]))
            assert is_formula or cell == escape_control(record[column])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(records=records)
def test_csv_contains_no_formula_with_any_delimiter(delimiter: str, records: list[Record]) -> None:
    for cell in chain.from_iterable(read_csv(shown(records, OutputFormat.CSV), delimiter)):
        assert cell.lstrip(' "\r\n')[:1] not in tuple("=+-@\t＝")


def test_a_formula_inside_a_cell_is_disarmed() -> None:
    record = {"id": 1, "f_name": "x;=1+1;", "l_name": 'a|"@b; -c d;e-f'}
    assert shown([record], OutputFormat.CSV).splitlines()[1] == '1,x;\'=1+1;,"a|\'""@b;\' -c d;e-f"'
    assert shown([record], OutputFormat.CSV, raw=True).splitlines()[1] == '1,x;=1+1;,"a|""@b; -c d;e-f"'


def test_member_names_are_escaped_too() -> None:
    record = {"id": 1, "\x1b[31m;=1": "a"}
    for output_format in (OutputFormat.TABLE, OutputFormat.PLAIN, OutputFormat.CSV):
        text = "".join(member_lines(record, output_format))
        assert "\x1b" not in text
        assert ";=" not in text or output_format is not OutputFormat.CSV
    assert shown([{"id": "\x1b]0;x\x07\n1"}], OutputFormat.IDS) == "\\x1b]0;x\\x07\\n1\n"


def test_csv_is_rfc_4180() -> None:
    record = {"id": 1, "f_name": 'a "b", c', "l_name": "=1+1"}
    assert shown([record], OutputFormat.CSV) == 'id,f_name,l_name\r\n1,"a ""b"", c",\'=1+1\r\n'
    assert shown([], OutputFormat.CSV) == "id,f_name,l_name\r\n"


@given(records)
def test_json_and_ndjson_are_exact(records: list[Record]) -> None:
    assert json.loads(shown(records, OutputFormat.JSON)) == records
    made = shown(records, OutputFormat.NDJSON)
    assert made.count("\n") == len(records)
    assert [json.loads(line) for line in made.splitlines()] == records


@given(records)
def test_plain_output_is_tab_separated(records: list[Record]) -> None:
    made = shown(records, OutputFormat.PLAIN, header=True).splitlines()
    assert made[0] == "id\tf_name\tl_name"
    assert [line.split("\t") for line in made[1:]] == [
        [escape_control(record[c]) for c in COLUMNS] for record in records
    ]


def test_selected_columns_limit_json_too() -> None:
    record = {"id": 1, "email": "a@b.c", "f_name": "A", "l_name": "B"}
    assert json.loads(shown([record], OutputFormat.NDJSON, only=True)) == {"id": 1, "f_name": "A", "l_name": "B"}
    assert json.loads(shown([record], OutputFormat.NDJSON)) == record


def test_parse_columns() -> None:
    assert parse_columns("l_name, ID,L_Name", COLUMNS) == ["l_name", "id"]
    with pytest.raises(UsageError, match=r"unknown column 'fname' \(did you mean f_name\?\); the columns are id, "):
        parse_columns("id,fname", COLUMNS)
    with pytest.raises(UsageError):
        parse_columns("", COLUMNS)
