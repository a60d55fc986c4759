"""The lines around the text: title, facts, rules, message and keys."""

from collections.abc import Iterable, Mapping, Sequence

from rich.cells import cell_len
from textual.content import Content

from leadctl.output.escapes import escape_control
from leadctl.output.tables import cut, style
from leadctl.triage.facts import Facts
from leadctl.triage.keys import label

SIDE_ROWS = 2  # of each fact beside the text
WIDE = 100  # columns from which the facts are beside the text
MIN_COLUMNS, MIN_ROWS = 60, 15
_GAP = "  "

Item = tuple[str, str, bool]  # key, label, whether it does something


def side_width(columns: int) -> int:
    """Return the width of the facts beside the text."""
    return min(max(columns * 3 // 10, 24), 44)


def title(position: str, facts: Facts | None, who: str, columns: int, *, is_first_state: bool) -> Content:
    """Return the first line: position, lead, state and age on the left, profile and user on the right."""
    parts: list[str | tuple[str, str]] = [f" {position}"]
    if facts:
        state = escape_control(facts.state)
        age = f"waiting {facts.age}" if is_first_state else f"received {facts.age} ago"
        parts += [f"  Lead {facts.lead_id} · ", (state, f"bold {colour(facts.state)}"), f" · {age}"]
    left = Content.assemble(*parts)
    room = columns - left.cell_length - 3
    right = cut(who, room) if room > 8 else ""
    return left + Content(" " * max(columns - left.cell_length - cell_len(right) - 1, 1) + right)


def colour(state: str) -> str:
    """Return the style of a state: the colour that it has in lists."""
    return f"ansi_{style('state', state)}"


def side(facts: Facts, columns: int) -> Content:
    """Return the facts for the column beside the text, which leaves them `columns`; a long one hides no other."""
    warnings = [Content.styled(f"! {text}", "bold ansi_yellow") for text in facts.warnings]
    others = [Content(cut(line, SIDE_ROWS * columns)) for line in facts.lines(with_warnings=False)]
    return Content("\n").join([*warnings, *others])


def top(facts: Facts, columns: int) -> Content:
    """Return the facts for the lines above the text."""
    address = cut(f"{facts.name} <{facts.email}>", columns - 2)
    room = columns - 2 - cell_len(f" · {facts.size} · {facts.scan}")
    lines = [Content(f" {address}"), Content(f" {cut(facts.file, max(room, 8))} · {facts.size} · {facts.scan}")]
    if facts.warnings:
        lines.append(Content.styled(f" ! {'; '.join(facts.warnings)}", "bold ansi_yellow"))
    if facts.others:
        lines.append(Content(cut(f" ↺ {facts.others_text}", columns - 1)))
    return Content("\n").join(lines)


def rule(columns: int, left: str = "", right: str = "") -> Content:
    """Return a horizontal line with a caption at either end."""
    before = f"── {cut(left, max(columns - 20, 8))} " if left else ""
    after = f" {right} ──" if right else ""
    return Content(before + "─" * max(columns - cell_len(before) - cell_len(after), 0) + after)


def key_items(keys: Mapping[str, str], present: str | None) -> list[Item]:
    """Return the keys of the footer: all states, then the other actions."""
    states = [(key, label(state), state != present) for state, key in keys.items()]
    return [*states, ("s", "skip", True), ("u", "undo", True), ("?", "help", True), ("q", "quit", True)]


def key_rows(items: Iterable[Item], columns: int) -> list[list[Item]]:
    """Return the items in rows that fit the width."""
    rows: list[list[Item]] = [[]]
    used = 1
    for item in items:
        size = cell_len(f"{item[0]} {item[1]}")
        if rows[-1] and used + size > columns:
            rows.append([])
            used = 1
        rows[-1].append(item)
        used += size + len(_GAP)
    return rows


def keys_content(rows: Sequence[Sequence[Item]]) -> Content:
    """Return the footer's rows; a key without effect is dim."""
    lines = []
    for row in rows:
        parts: list[str | tuple[str, str]] = [" "]
        for key, text, is_active in row:
            parts += [(key, "bold" if is_active else "dim"), (f" {text}{_GAP}", "" if is_active else "dim")]
        lines.append(Content.assemble(*parts))
    return Content("\n").join(lines)


def key_at(rows: Sequence[Sequence[Item]], x: int, y: int) -> str | None:
    """Return the key that is drawn at a position of the footer."""
    start = 1
    for key, text, _ in rows[y] if y < len(rows) else ():
        end = start + cell_len(f"{key} {text}")
        if start <= x < end:
            return key
        start = end + len(_GAP)
    return None
