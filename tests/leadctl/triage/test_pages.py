"""Long texts, wrapped when they are shown."""

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from leadctl.output.escapes import escape_control
from leadctl.triage.pages import MAX_LINE, Pages, Place

TEXTS = st.text(alphabet=st.sampled_from("ab \n山e\u0301\u202e\x1bשל\t"), max_size=200)
WIDTHS = st.integers(2, 30)


def shown(pages: Pages, place: Place, width: int) -> list[str]:
    return [row for _, row in pages.below(place, width)]


@given(TEXTS, WIDTHS)
def test_rows_fit_and_contain_the_escaped_text(text: str, width: int) -> None:
    pages = Pages(text)
    assert all(cell_len(row.rstrip()) <= width for row in shown(pages, Place(), width))
    for number, line in enumerate(text.split("\n")):
        assert "".join(pages.rows(number, width)) == escape_control(line.expandtabs(8))


@given(TEXTS, WIDTHS, st.integers(1, 8))
def test_scrolling_down_and_up_returns(text: str, width: int, height: int) -> None:
    pages = Pages(text)
    places = [place for place, _ in pages.below(Place(), width)]
    last = pages.last(width=width, height=height)
    assert len(shown(pages, last, width)) == min(height, len(places))
    for number, place in enumerate(places):
        assert pages.at(place, width) == place
        assert list(pages.above(place, width)) == places[:number][::-1]
        assert pages.moved(place, 10**6, width=width, height=height) == last
        assert pages.moved(place, -(10**6), width=width, height=height) == Place()
        down = pages.moved(places[0], number, width=width, height=height)
        assert down == min(place, last)


def test_a_place_survives_another_width() -> None:
    pages = Pages("one two three four five six seven\nnext")
    place = pages.moved(Place(), 2, width=10, height=1)
    assert shown(pages, place, 10)[0] == "five six "
    assert shown(pages, pages.at(place, 20), 20)[0] == "five six seven"
    assert shown(pages, pages.at(place, 5), 5)[0] == "five "


def test_the_position_has_page_and_percent() -> None:
    pages = Pages("first\nsecond\nthird", [0, 6, 13])
    assert pages.position(Place(), Place()) == "page 1/3  27%"
    assert pages.position(Place(2), Place(2)) == "page 3/3  100%"
    assert Pages("").position(Place(), Place()) == "0%"


def test_every_match_is_found_also_several_in_a_line() -> None:
    pages = Pages("Rust, rust\nPython\n\trust")
    assert pages.matches(re.compile("RUST", re.IGNORECASE)) == [Place(0, 0), Place(0, 6), Place(2, 8)]
    assert pages.matches(re.compile("java")) == []


def test_a_line_of_a_mebibyte_is_split() -> None:
    text = "word " * (2**20 // 5)
    pages = Pages(text)
    assert "".join(pages.lines) == text
    assert max(map(len, pages.lines)) <= MAX_LINE
