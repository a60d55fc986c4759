"""Report files of the benchmarks."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import report
from benchmarks.measure import Result

RESULTS = [
    Result(work="leads | <taken>", beside="a & b", unit="1/s", ours=[90.0, 110.0], theirs=[100.0, 100.0], goal=0.8),
    Result(work="mails", beside="a loop", unit="1/s", ours=[1.0, 2.0], theirs=[100.0, 90.0], goal=1.5),
    Result(work="a start", beside="bare", unit="ms", ours=[30.0, 31.0], theirs=[20.0, 20.0], goal=1.1, at_most=True),
    Result(work="memory", beside="", unit="MiB", ours=[0.0], theirs=[], goal=64.0, at_most=True, is_detail=True),
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    report.write(RESULTS, tmp_path / "docs")
    return tmp_path / "docs"


def test_chart_is_an_svg_with_each_result_and_its_goal(written: Path) -> None:
    chart = written / "performance.svg"
    assert chart.stat().st_size < 1_000 + 3_000 * len(RESULTS)
    root = ElementTree.parse(chart).getroot()
    assert (root.tag, root.get("role")) == ("{http://www.w3.org/2000/svg}svg", "img")
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    for result in RESULTS:
        assert {result.work, f"beside {result.beside}" if result.theirs else "in MiB"} <= set(texts)
    assert texts.count("goal ≥ 0.8") == texts.count("goal ≤ 1.1") == 1
    bars = [bar.get("class") for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert bars == ["card", "holds", "missed", "missed", "holds"]


def test_results_are_written_as_json(written: Path) -> None:
    document = json.loads((written / "performance.json").read_text("utf-8"))
    assert [(row["work"], row["holds"]) for row in document["results"]] == [
        (result.work, result.holds) for result in RESULTS
    ]
    assert document["results"][0]["ours"] == [90.0, 110.0]


def test_table_in_the_document_is_replaced(written: Path) -> None:
    page = written / "performance.md"
    page.write_text("before\n<!-- results -->\n| old |\n<!-- /results -->\nafter\n", "utf-8")
    report.write(RESULTS, written)
    lines = page.read_text("utf-8").splitlines()
    assert (lines[:2], lines[-2:]) == (["before", "<!-- results -->"], ["<!-- /results -->", "after"])
    assert r"| leads \| <taken> | a & b | 1 | 0.9 … 1.1 | ≥ 0.8 | holds |" in lines
    assert "| old |" not in lines
    assert not any("memory" in line for line in lines), "a detail is only in the other files"


def test_a_line_states_whether_the_goal_is_met() -> None:
    assert "holds" in report.line(RESULTS[0])
    assert "MISSED" in report.line(RESULTS[1])
