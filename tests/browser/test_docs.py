"""The pages of documentation in a browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Firm
from tests.browser.test_form import CONTRASTS

WIDTH = 390


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize(("path", "operation"), [("/docs", "post_lead"), ("/internal/docs", "get_cv")])
def test_page_is_readable_on_a_phone(tab: Page, firm: Firm, path: str, operation: str, color_scheme: str) -> None:
    errors: list[str] = []
    requests: list[str] = []
    tab.on("console", lambda message: errors.append(message.text))
    tab.on("request", lambda request: requests.append(request.url))
    tab.set_viewport_size({"width": WIDTH, "height": 844})
    tab.emulate_media(color_scheme="dark" if color_scheme == "dark" else "light")
    tab.goto(firm.url + path)
    assert tab.evaluate("document.documentElement.scrollWidth") <= WIDTH
    assert tab.evaluate(CUT) == []
    assert tab.evaluate(CONTRASTS) == []
    assert tab.evaluate("getComputedStyle(document.querySelector('pre')).whiteSpace") == "pre-wrap", "the style applies"
    tab.locator(f"a[href='#{operation}']").click()
    expect(tab.locator(f"#{operation}")).to_be_in_viewport()
    assert errors == []
    assert {url.removeprefix(firm.url).partition("#")[0] for url in requests} <= {path, "/favicon.ico"}


def test_page_links_to_the_document_and_explains_problems(tab: Page, firm: Firm) -> None:
    tab.set_viewport_size({"width": WIDTH, "height": 844})
    tab.goto(f"{firm.url}/docs#invalid-fields")
    expect(tab.locator("#invalid-fields")).to_be_in_viewport()
    with tab.expect_response(f"{firm.url}/openapi.json") as answered:
        tab.get_by_role("link", name="openapi.json").first.click()
    assert answered.value.status == 200


# elements that reach beyond the screen
CUT = """() => [...document.querySelectorAll("body *")].filter(
  element => element.getBoundingClientRect().right > innerWidth || element.getBoundingClientRect().left < 0
).map(element => element.outerHTML)"""
