"""Search results for people: a line about each lead, and lines of its CV, with the words that were found in bold.

Imported on demand, since importing rich takes 50 ms.
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from leadctl.output.escapes import escape_control
from leadctl.output.formats import Record
from leadctl.output.tables import Span, readable_cell, render, style, terminal_width

_FOUND = "bold yellow"
_INDENT = "    "
_GAP = "  "
_MIN_CELLS = 20  # for text, on a very narrow terminal


def result_lines(records: Iterable[Record]) -> Iterator[str]:
    """Yield the lines for each lead, wrapped between words to the width of the terminal."""
    width = terminal_width()
    for record in records:
        yield from render(_wrapped(_head(record), width, first=""))
        for match in record["matches"]:
            if match["field"] not in ("f_name", "l_name", "email"):
                page = f"p. {match['page']}: " if match["page"] is not None else ""
                page = page if match["field"] == "CV" else f"{escape_control(match['field'])}: "
                spans = [(page, "bright_black"), *_spans(match["text"], match["highlights"])]
                yield from render(_wrapped(spans, width, first=_INDENT))


def _head(record: Record) -> Sequence[Span]:
    """Return the lead's id, name, address, state, age and sign of spam."""
    highlights = {match["field"]: match["highlights"] for match in record["matches"]}
    f_name, l_name, email = (_spans(record[name], highlights.get(name, ())) for name in ("f_name", "l_name", "email"))
    state, received = escape_control(record["state"]), readable_cell("created_at", record["created_at"])
    ending: Sequence[Span] = [(_GAP, ""), (state, style("state", state)), (_GAP, ""), (received, "bright_black")]
    if record.get("suspect"):
        ending = [*ending, (f"{_GAP}suspect: {escape_control(record['suspect'])}", "red")]
    return [(f"{record['id']}{_GAP}", "bold"), *f_name, (" ", ""), *l_name, (_GAP, ""), *email, *ending]


def _spans(text: str, highlights: Sequence[Sequence[int]]) -> Iterator[Span]:
    """Yield the parts of a text, each escaped, and the words that were found with their style."""
    text, done = text.replace("\t", " "), 0
    for start, end in highlights:
        yield escape_control(text[done : max(start, done)]), ""
        yield escape_control(text[max(start, done) : end]), _FOUND
        done = max(end, done)
    yield escape_control(text[done:]), ""


def _wrapped(spans: Iterable[Span], width: int | None, *, first: str) -> Iterator[Sequence[Span | Text]]:
    text = Text.assemble(*spans)
    if width is None:
        yield [(first, ""), text]
        return
    room = max(width - len(_INDENT), _MIN_CELLS)
    lines = text.wrap(Console(width=width), room)
    for number, line in enumerate(lines):
        line.rstrip()
        yield [(first if number == 0 else _INDENT, ""), line]
