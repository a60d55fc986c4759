"""The form of the service in a real browser: accessibility, the keyboard, the script, and the network."""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, FileChooser, FilePayload, Locator, Page, Route, expect
from playwright.sync_api import TimeoutError as PageTimeout
from pypdfium2 import PdfDocument

from tests.browser.conftest import Firm, page
from tests.browser.slow_relay import SlowRelay
from tests.browser.test_form import CONTRASTS

CV: FilePayload = {"name": "cv.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 a CV"}
NUMBERS = itertools.count()
DOCS = Path(__file__).parents[2] / "docs/form.md"
WIDTHS = (320, 390, 1280)
COLORS: tuple[dict[str, Any], ...] = (
    {"color_scheme": "light", "forced_colors": "none"},
    {"color_scheme": "dark", "forced_colors": "none"},
    {"color_scheme": "dark", "forced_colors": "active"},
)
NAMES = {"de": ("Vielen Dank", "Fehler: "), "ar": ("شكرًا لك", "خطأ: "), "en": ("Thank you", "Error: ")}
KILOBYTE = 1024
DROP = """([selector, names]) => {
  const dataTransfer = new DataTransfer()
  for (const name of names) dataTransfer.items.add(new File(["%PDF-1.4 dropped"], name))
  const drop = new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true})
  document.querySelector(selector).dispatchEvent(drop)
  return drop.defaultPrevented
}"""
LEAVES = "() => !dispatchEvent(new Event('beforeunload', {cancelable: true}))"


@pytest.fixture
def hosted_tab(tab: Page, hosted: Firm) -> Page:
    """A tab with the form."""
    hosted.begin()
    tab.goto(hosted.url)
    return tab


@contextmanager
def without_scripts(browser: Browser) -> Iterator[Page]:
    with browser.new_context(java_script_enabled=False) as context:
        context.set_default_timeout(20_000)
        yield context.new_page()


def fill(tab: Page, cv: FilePayload | Path = CV) -> str:
    """Fill in the form, and return the email address."""
    email = f"hosted{next(NUMBERS)}@example.com"
    for name, value in (("f_name", "Ada"), ("l_name", "Lovelace"), ("email", email)):
        tab.locator(f"[name={name}]").fill(value)
    tab.locator("[name=CV]").set_input_files(cv)
    tab.locator("[name=privacy]").check()
    return email


def submit(tab: Page) -> None:
    tab.locator("form button").first.click()


def status(tab: Page) -> Locator:
    return tab.locator("form [role=status]")


def unchecked(tab: Page) -> None:
    """Switch off the browser's own validation."""
    tab.locator("form").evaluate("form => { form.noValidate = true }")


def dismissed_dialogs(tab: Page) -> list[str]:
    """Dismiss the dialogs of a tab, and return the list to which their types are added."""
    types: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        types.append(dialog.type)
        dialog.dismiss()

    tab.on("dialog", dismiss)
    return types


# Accessibility


@pytest.mark.parametrize("language", ["en", "ar"])
def test_pages_are_accessible(browser: Browser, hosted: Firm, language: str) -> None:
    axe = Axe()
    with browser.new_context() as context:
        tab = context.new_page()
        for name in ("form", "errors", "thanks"):
            tab.goto(f"{hosted.url}/{'thanks' if name == 'thanks' else ''}?lang={language}")
            if name == "errors":
                unchecked(tab)
                submit(tab)
                expect(tab.locator(".summary")).to_be_focused()
            for colors, width in itertools.product(COLORS, WIDTHS):
                tab.emulate_media(**colors)
                tab.set_viewport_size({"width": width, "height": 844})
                results = axe.run(tab)
                assert results.violations_count == 0, f"{name} {colors} {width}\n{results.generate_report()}"
                assert tab.evaluate("document.documentElement.scrollWidth") <= width
            tab.emulate_media(forced_colors="none")
            assert tab.evaluate(CONTRASTS) == []


def test_large_text_needs_no_horizontal_scrolling(hosted_tab: Page) -> None:
    hosted_tab.set_viewport_size({"width": 640, "height": 844})
    hosted_tab.evaluate("document.documentElement.style.fontSize = '200%'")
    assert hosted_tab.evaluate("document.documentElement.scrollWidth") <= 640
    assert hosted_tab.evaluate("getComputedStyle(document.body).hyphens") == "auto"


def test_a_logo_is_on_white_in_dark_forced_colors(hosted_tab: Page) -> None:
    tab = hosted_tab
    tab.emulate_media(color_scheme="dark", forced_colors="active")
    tab.evaluate("document.querySelector('.firm').replaceChildren(new Image())")
    expect(tab.locator(".firm img")).to_have_css("background-color", "rgb(255, 255, 255)")


def test_a_printed_form_has_each_label_beside_its_control(hosted_tab: Page) -> None:
    tab = hosted_tab
    tab.emulate_media(media="print")
    fields = tab.locator(".field, .legal, .summary")
    assert {field.evaluate("field => getComputedStyle(field).breakInside") for field in fields.all()} == {"avoid"}
    with closing(PdfDocument(tab.pdf(format="A5"))) as document:
        pages = [sheet.get_textpage().get_text_bounded() for sheet in document]
    assert len(pages) > 1
    assert "Send me your newsletter." in pages[-1], "the footer is not alone"


def open_dialog_by_key(tab: Page) -> FileChooser:
    """Open the dialog of the focused file input; on a busy machine, a headless browser can ignore one press."""
    for attempt in range(3):
        try:
            with tab.expect_file_chooser(timeout=5_000 * 2**attempt) as chooser:
                tab.keyboard.press("Enter")
            return chooser.value
        except PageTimeout:
            continue
    raise AssertionError("no dialog opens")


@pytest.mark.parametrize("language", ["de", "ar"])
@pytest.mark.parametrize("has_scripts", [True, False])
def test_the_keyboard_is_enough(browser: Browser, hosted: Firm, language: str, has_scripts: bool) -> None:
    hosted.begin()
    with browser.new_context(java_script_enabled=has_scripts, viewport={"width": 320, "height": 640}) as context:
        tab = context.new_page()
        tab.goto(f"{hosted.url}/?lang={language}")
        values = {"f_name": "Ada", "l_name": "Lovelace", "email": f"keys{next(NUMBERS)}@example.com"}
        seen: list[str] = []
        while len(seen) < 20:
            tab.keyboard.press("Tab")
            focused = tab.locator(":focus")
            name = focused.get_attribute("name") or ""
            seen.append(name)
            if name in values:
                tab.keyboard.type(values[name])
            elif name == "CV" and not has_scripts:  # without scripts, the driver can't see the file dialog
                focused.set_input_files(CV)
            elif name == "CV":
                open_dialog_by_key(tab).set_files(CV)
            elif name == "privacy":
                tab.keyboard.press("Space")
            elif focused.evaluate("element => element.matches('form button')"):
                tab.keyboard.press("Enter")
                break
        assert [name for name in seen if name] == [*values, "matter", "action", "CV", "privacy", "newsletter"]
        tab.wait_for_url(f"{hosted.url}/thanks?lang={language}")
        expect(tab.get_by_role("heading", name=NAMES[language][0])).to_be_visible()
    assert hosted.count() == 1


# Without scripts


def test_without_scripts_errors_keep_the_values(browser: Browser, hosted: Firm) -> None:
    hosted.begin()
    with without_scripts(browser) as tab:
        tab.goto(f"{hosted.url}/?lang=de")
        email = fill(tab)
        tab.locator("[name=l_name]").fill(" ")  # passes the browser's validation
        tab.locator("[name=matter]").select_option("family")
        submit(tab)
        expect(tab).to_have_title(re.compile("^Fehler: "))
        expect(tab.locator(".summary")).to_be_focused()
        tab.get_by_role("link", name="Nachname: Bitte ausfüllen.").click()
        expect(tab.locator("[name=l_name]")).to_be_focused()
        expect(tab.locator("[name=email]")).to_have_value(email)
        expect(tab.locator("[name=matter]")).to_have_value("family")
        expect(tab.locator("#CV-again")).to_be_visible()
        tab.keyboard.type("Lovelace")
        tab.locator("[name=CV]").set_input_files(CV)
        submit(tab)
        expect(tab.get_by_role("heading", name="Vielen Dank")).to_be_visible()
    assert hosted.count() == 1


@pytest.mark.parametrize("has_scripts", [True, False])
def test_double_click_reload_and_back_create_one_lead(browser: Browser, hosted: Firm, has_scripts: bool) -> None:
    hosted.begin()
    with browser.new_context(java_script_enabled=has_scripts) as context:
        tab = context.new_page()
        tab.goto(hosted.url)
        email = fill(tab)
        tab.locator("form button").first.dblclick(no_wait_after=True)
        expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
        tab.reload()
        expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
        tab.go_back()
        expect(tab.locator("[name=email]")).to_have_value(email)
        tab.locator("[name=CV]").set_input_files(CV)
        submit(tab)
        expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert hosted.count() == 1


# With scripts


def test_the_page_loads_only_its_script_and_respects_its_policy(tab: Page, hosted: Firm) -> None:
    requests: list[str] = []
    messages: list[str] = []
    tab.on("request", lambda request: requests.append(request.url.removeprefix(hosted.url).partition("?")[0]))
    tab.on("console", lambda message: messages.append(message.text))
    tab.on("pageerror", lambda error: messages.append(str(error)))
    tab.goto(hosted.url)
    expect(tab.locator(".drop")).to_be_visible()
    assert set(requests) <= {"/", "/form.js", "/favicon.ico"}
    fill(tab)
    submit(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert not [text for text in messages if "favicon" not in text and "404" not in text]
    assert tab.context.cookies() == []
    assert tab.evaluate("localStorage.length + sessionStorage.length") == 0


def test_errors_keep_the_page_and_the_file(hosted_tab: Page, hosted: Firm) -> None:
    tab = hosted_tab
    unchecked(tab)
    fill(tab)
    tab.locator("[name=f_name]").fill("")
    submit(tab)
    expect(tab.locator(".summary")).to_be_focused()
    expect(tab).to_have_title(re.compile("^Error: "))
    assert tab.url == f"{hosted.url}/"
    assert tab.locator("[name=CV]").input_value().endswith("cv.pdf")
    expect(tab.locator("[name=f_name]")).to_have_attribute("aria-invalid", "true")
    expect(tab.locator("[name=f_name]")).to_have_attribute("aria-describedby", "f_name-error")
    expect(tab.locator("#CV-again")).to_have_count(0)
    tab.locator("[name=privacy]").uncheck()
    tab.locator("[name=f_name]").fill("Ada")
    submit(tab)
    expect(tab.locator("#privacy-error")).to_be_visible()
    expect(tab.locator("[name=f_name]")).not_to_have_attribute("aria-invalid", "true")
    tab.locator("[name=privacy]").check()
    submit(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert hosted.count() == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("document.getElementById('field-f_name').remove()", "#f_name-error"),
        ("document.querySelector('[value=work]').value = 'former'", "#matter-error"),
    ],
)
def test_a_form_whose_definition_has_changed_since_is_replaced(hosted_tab: Page, change: str, error: str) -> None:
    tab = hosted_tab
    email = fill(tab)
    tab.evaluate(change)
    tab.locator("[name=matter]").select_option(index=1)
    submit(tab)
    expect(tab.locator(error)).to_be_visible()
    expect(tab.locator("[name=email]")).to_have_value(email)
    expect(tab.locator("#CV-again")).to_be_visible()
    expect(tab.locator("[name=matter] option[value=work]")).to_have_count(1)


def test_a_change_of_the_language_asks_before_input_is_lost(hosted_tab: Page, hosted: Firm) -> None:
    tab = hosted_tab
    tab.get_by_role("link", name="Deutsch").click()
    tab.wait_for_url(f"{hosted.url}/?lang=de")
    dialogs = dismissed_dialogs(tab)
    tab.locator("[name=f_name]").press_sequentially("Ada")
    tab.get_by_role("link", name="English").click(no_wait_after=True)
    expect(tab.locator("[name=f_name]")).to_have_value("Ada")
    assert dialogs == ["beforeunload"]


def test_the_file_is_checked_before_it_is_sent(hosted_tab: Page, tmp_path: Path) -> None:
    tab = hosted_tab
    sent: list[str] = []
    tab.on("request", lambda request: sent.append(request.method))
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        file.truncate(10 * KILOBYTE**2 + 1)
    program: FilePayload = {"name": "setup.exe", "mimeType": "application/octet-stream", "buffer": b"MZ"}
    empty: FilePayload = {"name": "cv.pdf", "mimeType": "application/pdf", "buffer": b""}
    for cv, text in (
        (empty, "Error: This file is empty. Choose a file with content."),
        (large, "Error: This file is too large. A CV may have up to 10 MB."),
        (program, re.compile(r"^Error: Choose a file whose name ends in \.pdf, ")),
    ):
        fill(tab, cv)
        expect(tab.get_by_role("alert")).to_have_text(text)
        submit(tab)
        expect(tab.locator("#CV-error")).to_have_text(text)
        expect(tab.locator("[name=CV]")).to_be_focused()
        expect(tab.locator("[name=CV]")).to_have_attribute("aria-describedby", "CV-hint CV-error")
    tab.locator("[name=CV]").set_input_files(CV)
    expect(tab.locator("#CV-error")).to_have_count(0)
    assert "POST" not in sent


def test_a_file_that_was_changed_after_it_was_chosen_must_be_chosen_again(hosted_tab: Page, tmp_path: Path) -> None:
    tab, cv = hosted_tab, tmp_path / "cv.pdf"
    cv.write_bytes(b"%PDF-1.4 a CV")
    fill(tab, cv)
    unchecked(tab)
    tab.locator("[name=l_name]").fill("")
    submit(tab)
    expect(tab.locator(".summary")).to_be_focused()
    cv.write_bytes(b"%PDF-1.4 a CV that was edited")
    os.utime(cv, (10**9, 10**9))
    tab.locator("[name=l_name]").fill("Lovelace")
    submit(tab)
    expect(tab.locator("#CV-error")).to_have_text(re.compile("changed or moved after you chose it"))
    expect(status(tab)).to_have_text("")
    tab.locator("[name=CV]").set_input_files(cv)
    submit(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()


def test_a_file_can_be_dropped(hosted_tab: Page, hosted: Firm) -> None:
    tab = hosted_tab
    fill(tab)
    tab.locator("[name=CV]").set_input_files([])
    data = tab.evaluate_handle("""() => {
        const data = new DataTransfer()
        data.items.add(new File(["x"], "x.pdf"))
        return data
    }""")
    tab.locator(".drop").dispatch_event("dragover", {"dataTransfer": data})
    expect(tab.locator(".drop")).to_have_class(re.compile("over"))
    assert tab.evaluate(DROP, ["h1", ["beside.pdf"]]), "the browser would leave the page"
    assert tab.evaluate(DROP, [".drop", ["one.pdf", "two.pdf"]])
    expect(tab.locator(".drop")).not_to_have_class(re.compile("over"))
    expect(tab.locator("#CV-error")).to_have_text("Error: Only one file can be sent.")
    tab.evaluate(DROP, [".drop", ["dropped.exe"]])
    expect(tab.locator("#CV-error")).to_have_text(re.compile("Choose a file whose name ends in"))
    tab.evaluate(DROP, [".drop", ["dropped.pdf"]])
    expect(tab.locator("#CV-error")).to_have_count(0)
    submit(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert hosted.last_lead() == ("Ada", "dropped.pdf")


def test_a_slow_upload_can_be_cancelled_and_survives_a_lost_connection(
    hosted_tab: Page, hosted: Firm, tmp_path: Path
) -> None:
    tab = hosted_tab
    cv = tmp_path / "large.pdf"
    cv.write_bytes(b"%PDF-1.4" + b"x" * (10 * KILOBYTE**2 - 8))
    with SlowRelay(hosted.url, bytes_per_s=200 * KILOBYTE) as relay:
        tab.set_viewport_size({"width": 390, "height": 844})
        tab.goto(relay.url)
        fill(tab, cv)
        submit(tab)
        expect(status(tab)).to_have_text("Sending…")
        expect(tab.get_by_role("button", name="Cancel")).to_be_in_viewport(ratio=1)
        expect(tab.locator("progress")).not_to_have_js_property("value", 0)
        assert tab.evaluate(LEAVES), "leaving the page asks for a confirmation"
        tab.get_by_role("button", name="Cancel").click()
        expect(status(tab)).to_have_text("Cancelled. What you entered is still here.")
        expect(tab.locator("form button").first).to_be_focused()
        assert not tab.evaluate(LEAVES)
        submit(tab)
        expect(status(tab)).to_have_text("Sending…")
        relay.cut()
        expect(status(tab)).to_have_text(re.compile("^We could not reach the server.* sent again automatically"))
        expect(tab.get_by_text("Sending again in")).to_have_text(re.compile(r"in \d+ seconds?$"))
        expect(tab.get_by_role("button", name="Cancel")).to_be_in_viewport(ratio=1)
        relay.restore()
        tab.evaluate("dispatchEvent(new Event('online'))")
        expect(tab.get_by_role("heading", name="Thank you")).to_be_visible(timeout=60_000)
    assert hosted.count() == 1


def test_a_retry_waits_as_long_as_the_server_asks(hosted_tab: Page, hosted: Firm) -> None:
    tab = hosted_tab
    answers = [(503, {"Retry-After": "2"}), (429, {"Retry-After": "1"}), (502, {}), (409, {"Retry-After": "1"})]

    def respond(route: Route) -> None:
        if route.request.method == "POST" and answers:
            code, headers = answers.pop(0)
            route.fulfill(status=code, headers=headers, content_type="text/html", body="<h1>Away</h1>")
        else:
            route.continue_()

    tab.route("**/leads/**", respond)
    fill(tab)
    tab.clock.install()
    submit(tab)
    expect(status(tab)).to_have_text(re.compile("^The server could not process your form"))
    expect(tab.get_by_text("Sending again in 2 seconds")).to_be_visible()
    for text in ("Too many forms came", "The server could not", "The server could not"):
        tab.clock.run_for(30_000)
        expect(status(tab)).to_have_text(re.compile(f"^{text}"))
    tab.clock.run_for(30_000)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert hosted.count() == 1


def test_a_lost_response_is_sent_again_and_saved_once(hosted_tab: Page, hosted: Firm) -> None:
    tab = hosted_tab
    lost = [True]

    def respond(route: Route) -> None:
        if lost.pop() if lost else False:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    tab.route("**/leads/**", respond)
    fill(tab)
    submit(tab)
    expect(status(tab)).to_have_text(re.compile("^We could not reach the server"))
    submit(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert hosted.count() == 1


@pytest.mark.parametrize(("code", "text"), [(200, "does not work"), (404, "does not work"), (413, "is too large")])
def test_other_responses_have_a_message(hosted_tab: Page, code: int, text: str) -> None:
    tab = hosted_tab
    tab.route("**/leads/**", lambda route: route.fulfill(status=code, content_type="text/html", body="<h1>Wifi</h1>"))
    fill(tab)
    submit(tab)
    expect(tab.locator("form")).to_contain_text(text)
    expect(tab.locator("[name=f_name]")).to_have_value("Ada")


# Autofill

ADDRESS = {
    "NAME_FULL": "Ada Lovelace",
    "NAME_FIRST": "Ada",
    "NAME_LAST": "Lovelace",
    "EMAIL_ADDRESS": "autofill@example.com",
    "COMPANY_NAME": "Analytical Engines",
    "PHONE_HOME_WHOLE_NUMBER": "+442079460000",
    "ADDRESS_HOME_STREET_ADDRESS": "1 St James",
    "ADDRESS_HOME_CITY": "London",
    "ADDRESS_HOME_ZIP": "SW1A 1AA",
}


def test_autofill_fills_in_the_sender_and_never_the_honeypot(hosted_tab: Page, hosted: Firm) -> None:
    tab = hosted_tab
    chromium = tab.context.new_cdp_session(tab)
    chromium.send("Autofill.enable")
    chromium.send("DOM.enable")
    root = chromium.send("DOM.getDocument")["root"]["nodeId"]
    values = [{"name": name, "value": value} for name, value in ADDRESS.items()]
    for name in ("f_name", "email"):
        field = chromium.send("DOM.querySelector", {"nodeId": root, "selector": f"[name={name}]"})["nodeId"]
        backend = chromium.send("DOM.describeNode", {"nodeId": field})["node"]["backendNodeId"]
        chromium.send("Autofill.trigger", {"fieldId": backend, "address": {"fields": values}})
        expect(tab.locator(f"[name={name}]:autofill")).to_have_count(1)
    filled = tab.locator("form :autofill").evaluate_all("fields => fields.map(field => [field.name, field.value])")
    assert dict(filled) == {"f_name": "Ada", "l_name": "Lovelace", "email": "autofill@example.com"}
    tab.locator("[name=CV]").set_input_files(CV)
    tab.locator("[name=privacy]").check()
    tab.wait_for_timeout(3_000)  # a faster sender is a sign of spam, too
    submit(tab)
    expect(tab.get_by_role("heading", name="Thank you")).to_be_visible()
    assert hosted.last_suspect() is None


# In a frame


[FRAME] = re.findall(r"^```html\n(<iframe .*?)^```$", DOCS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
ADVISED = "https://intake.example.com/?lang=en"  # in the docs


@pytest.mark.parametrize("frame", [FRAME, f'<iframe src="{ADVISED}" style="width: 100%; height: 2700px"></iframe>'])
def test_the_form_works_in_a_frame(tab: Page, hosted: Firm, frame: str) -> None:
    hosted.begin()
    dialogs = dismissed_dialogs(tab)
    hosted.site.pages["/"] = page(frame.replace(ADVISED, f"{hosted.url}/?lang=de"))
    tab.goto(hosted.site.origin)
    form = tab.frame_locator("iframe")
    with tab.expect_popup():
        form.get_by_role("link", name="Datenschutzhinweise").click()
    for name, value in (("f_name", "Ada"), ("l_name", "Lovelace"), ("email", f"frame{next(NUMBERS)}@example.com")):
        form.locator(f"[name={name}]").fill(value)
    form.locator("[name=CV]").set_input_files(CV)
    form.locator("[name=privacy]").check()
    form.get_by_role("link", name="English").click(no_wait_after=True)
    form.locator("form button").first.click()
    expect(form.get_by_role("heading", name="Vielen Dank")).to_be_in_viewport()
    assert hosted.count() == 1
    assert dialogs == ["beforeunload"]
    form.get_by_role("link", name="Marple & Wimsey").click()
    tab.wait_for_url(f"{hosted.site.origin}/thanks")


def test_other_sites_cannot_frame_the_form(tab: Page, hosted: Firm) -> None:
    hosted.site.pages["/"] = page(f'<iframe src="{hosted.url}/"></iframe>')
    with tab.expect_event("requestfailed") as failed:
        tab.goto(hosted.site.other_origin)
    assert failed.value.failure == "net::ERR_BLOCKED_BY_RESPONSE"
