"""Keys, replies of the terminal and unknown control sequences."""

import re
import time
from collections.abc import Sequence

import pytest
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

from leadctl.triage import terminal_input
from leadctl.triage.terminal_input import KeyParser


def keys_of(parser: KeyParser, *reads: str) -> list[str]:
    return [getattr(event, "key", type(event).__name__) for data in reads for event in parser.feed(data)]


@pytest.mark.parametrize(
    ("reads", "keys"),
    [
        (["\x1b]11;rgb:ffff/ffff/ffff\x1b\\r"], ["r"]),
        (["\x1b]11;rgb:ffff/ffff/ffff\x07r"], ["r"]),
        (["\x1b]11;rgb:ff", "ff/ffff/ffff\x1b", "\\d"], ["d"]),
        (["\x1b]11;rgb:ffff\x1b[Bq"], ["down", "q"]),
        (["\x1bP1$r0m\x1b\\x"], ["x"]),
        (["\x1b[100;1:3u"], []),
        (["\x1b[9999999999u"], []),
        (["\x1b[?62;22cq"], ["q"]),
        (["\x1b[>0;276;0cq"], ["q"]),
        (["\x1b[A", "\x1b[[A", "\x1b[100;5u"], ["up", "f1", "ctrl+d"]),
        (["\x1b[<0;5;5M"], ["MouseDown"]),
        (["\x1b[24;80Rq"], ["CursorPosition", "q"]),
        (["\x1b[200~hi\x1b[201~"], ["Paste"]),
        (["\x1b[200~hi", "\x1b", "[201~d"], ["Paste", "d"]),
        (["\x1b[200~hi\x1b[20", "1~d"], ["Paste", "d"]),
        (["\x1b[20", "0~hi\x1b[201~d"], ["Paste", "d"]),
        (["\x1b[", "D"], ["left"]),
        (["\x1bO", "R"], ["f3"]),
        (["\x1b[27;5;100~d"], ["d"]),
        (["d\u00e9\ufffd"], ["d", "\u00e9", "replacement_character"]),
    ],
)
def test_only_keys_are_read_as_keys(reads: Sequence[str], keys: Sequence[str]) -> None:
    assert keys_of(KeyParser(), *reads) == keys


def test_every_key_that_textual_knows_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for sequence in ANSI_SEQUENCES_KEYS:
        found = keys_of(KeyParser(), sequence)
        monkeypatch.setattr(terminal_input, "_CONTROL", re.compile("(?!)"))
        assert found == keys_of(KeyParser(), sequence), repr(sequence)
        monkeypatch.undo()


def test_a_reply_without_an_end_hides_keys_for_a_second_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    parser = KeyParser()
    assert keys_of(parser, "\x1b]11;rgb") == []
    now[0] = 0.9
    assert keys_of(parser, "d") == []
    now[0] = 1.1
    assert keys_of(parser, "d") == ["d"]


@pytest.mark.parametrize("rest", ["[D", "OR", "[200~e\x1b[201~"])
def test_the_rest_of_a_sequence_may_follow_late(monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("textual._parser.get_time", lambda: now[0])
    parser = KeyParser()
    assert keys_of(parser, "\x1b") == []
    now[0] = 0.3
    assert [getattr(event, "key", "") for event in parser.tick()] == ["escape"]
    assert "e" not in (found := keys_of(parser, rest))
    assert len(found) == 1


@pytest.mark.parametrize("pieces", [("\x1b", "[201~"), ("\x1b[", "201~"), ("\x1b[20", "1~")])
def test_a_paste_whose_end_arrives_in_pieces_is_over(monkeypatch: pytest.MonkeyPatch, pieces: Sequence[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("textual._parser.get_time", lambda: now[0])
    parser = KeyParser()
    found = keys_of(parser, "\x1b[200~ee")
    for piece in pieces:
        now[0] += 0.3
        found += [type(event).__name__ for event in parser.tick()] + keys_of(parser, piece)
    now[0] += 2
    found += [type(event).__name__ for event in parser.tick()]
    assert [one for one in found if one != "Paste"] == []
    assert keys_of(parser, "q") == ["q"]


@pytest.mark.parametrize("reads", [["\x1b[200~never ends"], ["\x1b[20", "0~never", " ends"]])
def test_a_paste_without_an_end_hides_keys_for_a_second_only(
    monkeypatch: pytest.MonkeyPatch, reads: Sequence[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    parser = KeyParser()
    assert keys_of(parser, *reads) == []
    now[0] = 0.9
    assert [*parser.tick(), *keys_of(parser, "d")] == []
    now[0] = 2.0
    assert [type(event).__name__ for event in parser.tick()] == ["Paste"]
    assert keys_of(parser, "d", "\x1b[200~a\x1b[201~d") == ["d", "Paste", "d"]
