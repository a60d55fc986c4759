"""Preference for HTML in Accept."""

import pytest
from starlette.datastructures import Headers

from intake.public_api.negotiation import accepts_html

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
def test_html_is_preferred(accept: str) -> None:
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
def test_html_is_not_preferred(accept: str) -> None:
    assert not accepts_html(Headers({"Accept": accept}))


def test_a_missing_and_a_repeated_accept_header() -> None:
    assert not accepts_html(Headers({}))
    assert accepts_html(Headers(raw=[(b"accept", b"text/html"), (b"accept", b"*/*;q=0.8")]))


def test_a_long_accept_header_is_cut_off() -> None:
    assert accepts_html(Headers({"Accept": "x/y," * 31 + "text/html"}))
    assert not accepts_html(Headers({"Accept": "x/y," * 32 + "text/html"}))
    assert not accepts_html(Headers({"Accept": "," * 30_000}))
