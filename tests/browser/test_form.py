"""The README's HTML form in a real browser."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, FrameLocator, Page, expect

from tests.browser.conftest import Firm, page

CV: FilePayload = {"name": "cv.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 a CV"}
NUMBERS = itertools.count()


def fill(tab: Page, firm: Firm, cv: FilePayload | Path = CV) -> None:
    """Fill the form in as a prospect does."""
    tab.goto(firm.site.origin)
    tab.get_by_label("First name").fill("Ada")
    tab.get_by_label("Last name").fill("Lovelace")
    tab.get_by_label("Email address").fill(f"ada{next(NUMBERS)}@example.com")
    tab.get_by_label("CV").set_input_files(cv)


def send(tab: Page) -> None:
    tab.get_by_role("button", name="Send").click()


def send_unchecked(tab: Page) -> None:
    """Submit without the browser's own validation."""
    tab.locator("form").evaluate("form => { form.noValidate = true }")
    send(tab)


def test_accepted_form_shows_the_thank_you_page(tab: Page, firm: Firm, tmp_path: Path) -> None:
    cv = tmp_path / "cv.pdf"
    cv.write_bytes(b"%PDF-1.4 a CV")
    seen: list[str] = []
    tab.on("console", lambda message: seen.append(message.text))
    fill(tab, firm, cv)
    send(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    expect(tab).to_have_title("Thank you – Marple & Wimsey")
    expect(tab.get_by_role("status")).to_be_focused()
    assert firm.count() == 1
    assert not [text for text in seen if "Content Security Policy" in text], "the page respects its policy"
    tab.reload()
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert firm.count() == 1


def test_double_click_creates_one_lead(tab: Page, firm: Firm) -> None:
    fill(tab, firm)
    tab.get_by_role("button", name="Send").dblclick(no_wait_after=True)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert firm.count() == 1


def test_thanks_url_redirects_to_the_firms_page(tab: Page, firms: Callable[..., Firm]) -> None:
    firm = firms(INTAKE_FORM_THANKS_URL="{site}/thanks")
    fill(tab, firm)
    send(tab)
    tab.wait_for_url(f"{firm.site.origin}/thanks")
    expect(tab.get_by_role("heading", name="The firm's own thanks")).to_be_visible()
    assert firm.count() == 1


def test_invalid_fields_are_listed_and_input_is_preserved(tab: Page, firm: Firm) -> None:
    fill(tab, firm)
    tab.get_by_label("Email address").fill("ada")
    tab.get_by_label("Last name").fill("")
    send_unchecked(tab)
    expect(tab).to_have_title("Problem: Please check what you entered – Marple & Wimsey")
    alert = tab.get_by_role("alert")
    expect(alert).to_be_focused()
    assert [re.split(r"\s{2,}|\n", text.strip())[0] for text in alert.get_by_role("listitem").all_inner_texts()] == [
        "Last name",
        "Email address",
    ]
    tab.go_back()
    expect(tab.get_by_label("First name")).to_have_value("Ada")
    tab.get_by_label("Email address").fill("ada@example.com")
    tab.get_by_label("Last name").fill("Lovelace")
    tab.get_by_label("CV").set_input_files(CV)
    send(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert firm.count() == 1


@pytest.mark.parametrize("size", [2**20 + 1, 2**21, 200 * 2**20])
def test_oversized_cv_shows_an_error_page(tab: Page, firm: Firm, tmp_path: Path, size: int) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        file.truncate(size)
    fill(tab, firm, large)
    send(tab)
    expect(tab.get_by_role("heading", name="What you sent is too large")).to_be_visible()
    expect(tab.get_by_role("alert")).to_contain_text("up to 1 MB")
    assert firm.count() == 0


def test_submitted_html_is_not_executed(tab: Page, firm: Firm) -> None:
    fill(tab, firm)
    attack = "<img src=x onerror=document.title='run'>"
    tab.locator("form").evaluate("(form, name) => { form.elements.CV.name = name }", attack)
    send(tab)
    expect(tab.get_by_role("alert")).to_contain_text("Another field")
    assert attack not in tab.locator("body").inner_text(), "a sender must not put words on the organization's page"
    expect(tab).to_have_title("Problem: Please check what you entered – Marple & Wimsey")
    assert tab.locator("img").count() == 0


@pytest.mark.parametrize(("charset", "name"), [("iso-8859-1", "Zoë"), ("shift_jis", "能登")])
def test_a_page_in_another_charset_sends_utf_8(tab: Page, firm: Firm, charset: str, name: str) -> None:
    firm.site.charset = charset
    fill(tab, firm, {**CV, "name": f"{name}.pdf"})
    tab.get_by_label("First name").fill(f"{name} 😀")
    send(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert firm.last_lead() == (f"{name} 😀", f"{name}.pdf")


@pytest.mark.parametrize(("charset", "name"), [("iso-8859-1", "Zoë"), ("shift_jis", "能登")])
def test_fields_in_another_charset_are_explained(tab: Page, firm: Firm, charset: str, name: str) -> None:
    firm.site.charset = charset
    firm.site.pages["/"] = page(firm.form.replace(' accept-charset="utf-8"', ""))
    fill(tab, firm, {**CV, "name": f"{name}.pdf"})
    tab.get_by_label("First name").fill(name)
    send(tab)
    alert = tab.get_by_role("alert")
    expect(alert.get_by_role("listitem")).to_have_count(2)
    expect(alert).to_contain_text("Write it with the letters A to Z, without accents", ignore_case=True)
    expect(alert).to_contain_text("Rename the file, with the letters A to Z only", ignore_case=True)
    expect(tab.locator("body")).not_to_contain_text("codec")
    tab.go_back()
    tab.get_by_label("First name").fill("Zoe")
    tab.get_by_label("CV").set_input_files(CV)
    send(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert firm.count() == 1


def test_letters_that_the_charset_lacks_arrive_as_references_without_accept_charset(tab: Page, firm: Firm) -> None:
    firm.site.charset = "iso-8859-1"
    firm.site.pages["/"] = page(firm.form.replace(' accept-charset="utf-8"', ""))
    fill(tab, firm)
    tab.get_by_label("First name").fill("日")
    send(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert firm.last_lead() == ("&#26085;", "cv.pdf")


def framed(firm: Firm, form: str, attributes: str = "") -> None:
    frame = f'<iframe src="/form" width="600" height="600" {attributes}></iframe>'
    firm.site.pages |= {"/": page(frame), "/form": page(form)}


def fill_framed(tab: Page, firm: Firm, email: str = "ada@example.com") -> FrameLocator:
    tab.goto(firm.site.origin)
    frame = tab.frame_locator("iframe")
    frame.get_by_label("First name").fill("Ada")
    frame.get_by_label("Last name").fill("Lovelace")
    frame.get_by_label("Email address").fill(email)
    frame.get_by_label("CV").set_input_files(CV)
    return frame


@pytest.mark.parametrize("attributes", ["", 'sandbox="allow-forms allow-top-navigation-by-user-activation"'])
def test_a_form_in_a_frame_shows_its_result_in_the_whole_window(tab: Page, firm: Firm, attributes: str) -> None:
    framed(firm, firm.form, attributes)
    fill_framed(tab, firm).get_by_role("button", name="Send").click()
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert tab.url == f"{firm.url}/leads/"


@pytest.mark.parametrize("origins", ["https://www.firm.example {site}", "https://www.firm.example", ""])
def test_only_frame_ancestors_may_frame_the_result(tab: Page, firms: Callable[..., Firm], origins: str) -> None:
    firm = firms(INTAKE_FORM_FRAME_ANCESTORS=origins)
    framed(firm, firm.form.replace(' target="_top"', ""))
    for email, heading in (("ada@example.com", "Thank you"), ("ada@b", "Please check what you entered")):
        frame = fill_framed(tab, firm, email)
        button = frame.get_by_role("button", name="Send")
        if "{site}" in origins:
            button.click()
            expect(frame.get_by_role("heading", name=heading)).to_be_visible()
        else:
            with tab.expect_event("requestfailed") as failed:
                button.click()
            assert failed.value.failure == "net::ERR_BLOCKED_BY_RESPONSE"
    assert firm.count() == 1


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_page_fits_the_screen_with_sufficient_contrast(tab: Page, firm: Firm, width: int, color_scheme: str) -> None:
    tab.set_viewport_size({"width": width, "height": 640})
    tab.emulate_media(color_scheme="dark" if color_scheme == "dark" else "light")
    fill(tab, firm)
    tab.get_by_label("Email address").fill("a" * 200)
    send_unchecked(tab)
    expect(tab.get_by_text("Marple & Wimsey", exact=True)).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(CONTRASTS) == []


# elements whose text contrast is below the 4.5:1 of WCAG 2.2
CONTRASTS = """() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number)
  const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const behind = element => {
    const color = getComputedStyle(element).backgroundColor
    return element.parentElement && parts(color)[3] === 0 ? behind(element.parentElement) : color
  }
  return [...document.querySelectorAll("body *")].filter(element => {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    const [a, b] = [getComputedStyle(element).color, behind(element)].map(color => light(parts(color)))
    return own && (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5
  }).map(element => element.outerHTML)
}"""
