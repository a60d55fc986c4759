"""The faces of a list."""

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
from leadctl.output.formats import OutputFormat, OutputOptions, Record, chosen, lines, write_record

COLUMNS = ("id", "f_name", "l_name")
text = st.text() | st.text(st.sampled_from("=+-@\t\r\n\",;|'a \x1b＝"))
records = st.lists(
    st.fixed_dictionaries({"id": st.integers(1), "f_name": text | st.none(), "l_name": text}), max_size=5
)


def shown(
    records: list[Record], face: OutputFormat, *, only: bool = False, header: bool = False, raw: bool = False
) -> str:
    return "".join(lines(records, OutputOptions(face=face, columns=COLUMNS, only=only, header=header, raw=raw)))


def read_csv(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=delimiter == ","))


@given(records)
def test_raw_csv_is_read_back_as_it_was(records: list[Record]) -> None:
    head, *rows = read_csv(shown(records, OutputFormat.CSV, raw=True))
    assert head == list(COLUMNS)
    assert rows == [["" if record[c] is None else str(record[c]) for c in COLUMNS] for record in records]


@given(records)
def test_csv_holds_no_formula_and_nothing_that_a_terminal_obeys(records: list[Record]) -> None:
    made = shown(records, OutputFormat.CSV)
    assert "\x1b" not in made
    _, *rows = read_csv(made)
    for row, record in zip(rows, records, strict=True):
        for cell, column in zip(row, COLUMNS, strict=True):
            is_formula = re.search(r'(^|[;|])[\s"]*[=+\-@＝]', escape_control(record[column]))
            assert is_formula or cell == escape_control(record[column])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(records=records)
def test_csv_holds_no_formula_whatever_is_taken_for_the_delimiter(delimiter: str, records: list[Record]) -> None:
    for cell in chain.from_iterable(read_csv(shown(records, OutputFormat.CSV), delimiter)):
        assert cell.lstrip(' "\r\n')[:1] not in tuple("=+-@\t＝")


def test_a_formula_in_the_midst_of_a_cell_is_made_a_text() -> None:
    record = {"id": 1, "f_name": "x;=1+1;", "l_name": 'a|"@b; -c d;e-f'}
    assert shown([record], OutputFormat.CSV).splitlines()[1] == '1,x;\'=1+1;,"a|\'""@b;\' -c d;e-f"'
    assert shown([record], OutputFormat.CSV, raw=True).splitlines()[1] == '1,x;=1+1;,"a|""@b; -c d;e-f"'


def test_the_names_of_members_are_shown_as_safely_as_their_values() -> None:
    record = {"id": 1, "\x1b[31m;=1": "a"}
    for face in (OutputFormat.TABLE, OutputFormat.PLAIN, OutputFormat.CSV):
        out = io.StringIO()
        write_record(record, face=face, out=out)
        assert "\x1b" not in out.getvalue()
        assert ";=" not in out.getvalue() or face is not OutputFormat.CSV
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
def test_plain_has_a_line_for_each_record_and_a_tab_between_fields(records: list[Record]) -> None:
    made = shown(records, OutputFormat.PLAIN, header=True).splitlines()
    assert made[0] == "id\tf_name\tl_name"
    assert [line.split("\t") for line in made[1:]] == [
        [escape_control(record[c]) for c in COLUMNS] for record in records
    ]


def test_columns_that_are_chosen_are_all_that_json_has() -> None:
    record = {"id": 1, "email": "a@b.c", "f_name": "A", "l_name": "B"}
    assert json.loads(shown([record], OutputFormat.NDJSON, only=True)) == {"id": 1, "f_name": "A", "l_name": "B"}
    assert json.loads(shown([record], OutputFormat.NDJSON)) == record


def test_chosen() -> None:
    assert chosen("l_name, id,l_name", COLUMNS) == ["l_name", "id"]
    with pytest.raises(UsageError, match="there is no column 'name'; the columns are id, f_name, l_name"):
        chosen("id,name", COLUMNS)
    with pytest.raises(UsageError):
        chosen("", COLUMNS)
