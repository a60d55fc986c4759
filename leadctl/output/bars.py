"""Bar charts in eighths of a character cell."""

from collections.abc import Sequence

_WIDE = " ▏▎▍▌▋▊▉█"
_TALL = " ▁▂▃▄▅▆▇█"


def bar(number: int, *, maximum: int, cells: int) -> str:
    """Return a horizontal bar, `cells` long for the maximum; every number above 0 has a visible bar."""
    eighths = _eighths(number, maximum, cells)
    return _WIDE[8] * (eighths // 8) + _WIDE[eighths % 8].strip()


def column_chart(numbers: Sequence[int], *, rows: int, cells: int) -> Sequence[str]:
    """Return the rows of a column chart, top row first; each column is `cells` wide."""
    maximum = max(numbers)
    heights = [_eighths(number, maximum, rows) for number in numbers]
    return [
        "".join(_TALL[min(max(height - 8 * row, 0), 8)] * cells for height in heights) for row in reversed(range(rows))
    ]


def _eighths(number: int, maximum: int, cells: int) -> int:
    return max(1, round(8 * cells * number / maximum)) if number else 0
