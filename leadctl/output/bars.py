"""Numbers as bars, of the eighths of a cell that terminals can show."""

from collections.abc import Sequence

_WIDE = " ▏▎▍▌▋▊▉█"
_TALL = " ▁▂▃▄▅▆▇█"


def bar(number: int, *, most: int, cells: int) -> str:
    """Return a bar to the right, of so many cells for the greatest number; none but 0 has no bar at all."""
    eighths = _eighths(number, most, cells)
    return _WIDE[8] * (eighths // 8) + _WIDE[eighths % 8].strip()


def column_chart(numbers: Sequence[int], *, rows: int, cells: int) -> Sequence[str]:
    """Return the rows of a chart, the highest first, with a bar upward of so many cells' width for each number."""
    most = max(numbers)
    heights = [_eighths(number, most, rows) for number in numbers]
    return [
        "".join(_TALL[min(max(height - 8 * row, 0), 8)] * cells for height in heights) for row in reversed(range(rows))
    ]


def _eighths(number: int, most: int, cells: int) -> int:
    return max(1, round(8 * cells * number / most)) if number else 0
