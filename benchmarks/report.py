"""Results as a table, as JSON and as a chart."""

import json
import math
import os
import platform
import sqlite3
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from benchmarks.measure import Result

_WIDTHS = {"work": 66, "beside": 30, "ratio": 7, "spread": 16, "goal": 8, "verdict": 7, "ours": 9, "theirs": 9}

_TABLE_BEGINS, _TABLE_ENDS = "<!-- results -->", "<!-- /results -->"


def heading() -> str:
    """Return the heading."""
    return _row(*_WIDTHS, "unit")


def line(result: Result) -> str:
    """Format a result as a line."""
    ratios = result.ratios
    return _row(
        result.work,
        result.beside,
        _short(result.ratio),
        f"{_short(min(ratios))} to {_short(max(ratios))}",
        _goal(result),
        "holds" if result.holds else "MISSED",
        _short(statistics.median(result.ours)),
        _short(statistics.median(result.theirs)) if result.theirs else "",
        result.unit,
    )


def machine() -> str:
    """Describe the machine."""
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"{os.cpu_count()} cores, {platform.machine()}, {versions}"


def write(results: Sequence[Result], directory: Path) -> None:
    """Write performance.json and performance.svg, and update the table in performance.md if it exists."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(result), "ratio": result.ratio, "holds": result.holds} for result in results]
    document = {"machine": machine(), "results": rows}
    (directory / "performance.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    templates = Environment(loader=PackageLoader("benchmarks", "."), undefined=StrictUndefined, autoescape=True)
    templates.globals.update(short=_short, goal=_goal, doublings=_doublings)
    chart = templates.get_template("chart.svg.jinja").render(results=results, machine=machine())
    (directory / "performance.svg").write_text(chart, "utf-8")
    if (page := directory / "performance.md").exists():
        before, start, rest = page.read_text("utf-8").partition(_TABLE_BEGINS)
        _, end, after = rest.partition(_TABLE_ENDS)
        page.write_text("".join([before, start, *_table(results), end, after]), "utf-8")


def _table(results: Sequence[Result]) -> Iterator[str]:
    yield f"\nMeasured on {machine()}.\n\n| work | beside | ratio | from … to | goal | |\n|---|---|---|---|---|---|\n"
    for result in (result for result in results if not result.is_detail):
        spread = f"{_short(min(result.ratios))} … {_short(max(result.ratios))}"
        ratio = f"{_short(result.ratio)}{'' if result.theirs else ' ' + result.unit}"
        verdict = "holds" if result.holds else "**missed**"
        work = result.work.replace("|", r"\|")
        yield f"| {work} | {result.beside} | {ratio} | {spread} | {_goal(result)} | {verdict} |\n"


def _row(*cells: str) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, (*_WIDTHS.values(), 0), strict=True)).rstrip()


def _goal(result: Result) -> str:
    return f"{'≤' if result.at_most else '≥'} {_short(result.goal)}"


def _doublings(result: Result, ratio: float) -> float:
    """Return by how many doublings a ratio beats its goal, clipped to the chart."""
    if ratio <= 0 or result.goal <= 0:
        return 0.0
    past = math.log2(result.goal / ratio if result.at_most else ratio / result.goal)
    return min(max(past, -2.0), 3.0)


def _short(figure: float) -> str:
    """Format with three significant digits, or all integer digits."""
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"
