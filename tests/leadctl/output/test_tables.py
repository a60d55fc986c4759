"""Tables that fit the terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadctl.output.bars import bar, column_chart
from leadctl.output.columns import LEAD_COLUMNS
from leadctl.output.escapes import escape_control
from leadctl.output.tables import cell_width, streaming_lines, style, table_lines

name = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("山田👩‍🇩🇪שלוםनमिता"))
fields = {"email": name, "f_name": name, "l_name": name, "CV_name": name, "created_at": st.just("2026-11-01T09:00:00Z")}
leads = st.fixed_dictionaries(
    {"id": st.integers(1, 10**6), "state": st.sampled_from(["PENDING", "REACHED_OUT", "ON_HOLD"]), **fields}
)


def plain(lines: list[str]) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line.removesuffix("\n")) for line in lines]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")


@given(st.lists(leads, max_size=4))
def test_lines_fit_the_terminal_and_ids_and_states_are_never_cut(records: list[dict[str, object]]) -> None:
    head, *rows = plain(list(table_lines(records, LEAD_COLUMNS)))
    assert head.split()[0] == "id"
    for row, record in zip(rows, records, strict=True):
        assert cell_width(row) <= 40
        assert row.split()[0] == str(record["id"])
        assert str(record["state"]) in row


@given(leads)
def test_selected_columns_are_never_dropped(record: dict[str, object]) -> None:
    [head, row] = plain(list(table_lines([record], LEAD_COLUMNS[:6], keep_all=True)))
    assert len(head.split()) == 6
    assert cell_width(row) <= 40


def test_actions_are_never_cut() -> None:
    entry = {"id": 7, "at": "5 s ago", "action": "quarantine-download", "user": "harriet", "detail": "Eicar-Test"}
    lines = "".join(table_lines([entry], list(entry)))
    assert "quarantine-download" in lines


@given(leads)
def test_streaming_lines_fit_the_terminal(record: dict[str, object]) -> None:
    [row] = plain(list(streaming_lines([record], LEAD_COLUMNS)))
    assert cell_width(row) <= 40
    assert str(record["state"]) in row


def lead(**fields: object) -> dict[str, object]:
    return {**dict.fromkeys(LEAD_COLUMNS, "x"), "id": 1, **fields}


@pytest.mark.parametrize("f_name", ["山田太郎", "👩‍👩‍👧", "e\u0301", "משה", "الحسن", "🇩🇪", "\x1b[31m", "a"])
def test_columns_are_aligned_after_any_name(f_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    columns = ("id", "f_name", "state")
    _, first, second = plain(list(table_lines([lead(f_name=name, state="PENDING") for name in (f_name, "b")], columns)))
    assert cell_width(first.removesuffix("PENDING")) == cell_width(second.removesuffix("PENDING")) < cell_width(first)


@pytest.mark.parametrize(("columns", "is_shown"), [(80, False), (100, True)])
def test_an_email_address_gets_the_cells_of_the_file_name(
    columns: int, is_shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    address, name = "charlotte.w@mail.example", "Curriculum Vitae (final).pdf"
    fields = {"f_name": "Charlotte", "l_name": "Featherstone", "state": "REACHED_OUT", "created_at": "2026-11-01"}
    head, row = plain(list(table_lines([lead(email=address, CV_name=name, **fields)], LEAD_COLUMNS)))
    assert address in row
    assert ("CV_name" in head, "Curric" in row) == (is_shown, is_shown)


def test_the_address_and_the_error_of_a_mail_are_not_cut_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    mail = {"id": 123, "lead_id": 456, "kind": "confirmation", "recipient": "charlotte.w@mail.example"}
    mail |= {"state": "suppressed", "attempts": 12, "last_error": "550 no such mailbox"}
    head, row = plain(list(table_lines([mail], list(mail))))
    assert head.split() == ["id", "lead_id", "recipient", "state", "last_error"]
    assert row.endswith("  charlotte.w@mail.example  suppressed  550 no such mailbox")


def test_empty_columns_are_dropped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "32")
    entry = {"id": 7, "action": "login-failed", "subject": "", "lead": None, "client": "2001:db8::7"}
    assert plain(list(table_lines([entry], list(entry))))[0].split() == ["id", "action", "client"]


def test_right_to_left_names_stay_in_their_columns() -> None:
    [_, row] = plain(list(table_lines([lead(f_name="משה", l_name="כהן")], ("f_name", "l_name"))))
    assert row == "\u200eמשה\u200e     \u200eכהן\u200e"


def test_columns_are_aligned_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadctl.output.tables.ROWS", 2)
    made = plain(list(table_lines([lead(id=n) for n in range(1, 8)], ("id", "state"))))
    assert made == ["id  state", *(f"{n}   x" for n in range(1, 8))]


def test_without_a_terminal_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    [_, row] = plain(list(table_lines([lead(f_name="a" * 500)], LEAD_COLUMNS)))
    assert "a" * 500 in row


def test_every_state_has_a_colour_always_the_same() -> None:
    states = ["PENDING", "REACHED_OUT", "ENGAGED", "DECLINED", "ON_HOLD", "queued", "failed"]
    assert all(style("state", state) for state in states)
    assert style("state", "ON_HOLD") == style("state", "ON_HOLD")
    assert len({style("state", state) for state in states[:4]}) == 4
    assert style("f_name", "PENDING") == ""


@given(st.lists(st.integers(0, 10**9), min_size=1))
def test_bars_are_as_long_as_their_numbers(numbers: list[int]) -> None:
    drawn = [bar(n, maximum=max(numbers), cells=20) for n in numbers]
    for number, line in zip(numbers, drawn, strict=True):
        assert len(line) <= 20
        assert bool(line) == bool(number)
    assert len(drawn[numbers.index(max(numbers))]) == (20 if max(numbers) else 0)


def test_column_chart() -> None:
    assert column_chart([0, 1, 2, 4], rows=2, cells=2) == ["      ██", "  ▄▄████"]


def test_hostile_texts_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    evil = "\x1b]0;x\x07[bold]\u202e"
    assert escape_control(evil) in plain(list(table_lines([lead(f_name=evil)], LEAD_COLUMNS)))[1]
