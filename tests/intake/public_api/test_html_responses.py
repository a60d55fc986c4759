"""Who is answered with a page."""

import pytest
from starlette.datastructures import Headers

from intake.public_api.html_responses import accepts_html

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept",
    [
        FIREFOX,
        "text/html",
        "text/html, application/xhtml+xml, image/jxr, */*",  # Internet Explorer's
        "TEXT/HTML;Q=1, application/json;q=0.9",
        "text/html;charset=utf-8",
        "text/*, */*;q=0.1",
        "application/json;q=0, text/html;q=0.001",
    ],
)
def test_who_likes_one_better(accept: str) -> None:
    assert accepts_html(Headers({"Accept": accept}))


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "x",
        ";q=1,,",
        "*/*",
        "application/json",
        "application/problem+json, text/html;q=0.9",
        "text/html, application/json",
        "text/html;q=0, */*",
        "text/html;q=0",
        "text/html;q=0.5, */*;q=0.8",
        "text/html;q=x",
        "text/html;q=nan",
        "text/html;q=-1",
        "text/*, application/*",
    ],
)
def test_who_does_not(accept: str) -> None:
    assert not accepts_html(Headers({"Accept": accept}))


def test_who_says_nothing_and_who_says_it_in_two_lines() -> None:
    assert not accepts_html(Headers({}))
    assert accepts_html(Headers(raw=[(b"accept", b"text/html"), (b"accept", b"*/*;q=0.8")]))


def test_no_more_is_read_of_it_than_a_browser_sends() -> None:
    assert accepts_html(Headers({"Accept": "x/y," * 31 + "text/html"}))
    assert not accepts_html(Headers({"Accept": "x/y," * 32 + "text/html"}))
    assert not accepts_html(Headers({"Accept": "," * 30_000}))
