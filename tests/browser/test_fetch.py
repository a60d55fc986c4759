"""Submissions by the script of docs/clients.md in a real browser."""

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from socket import create_server

import pytest
from playwright.sync_api import Error, Locator, Page, expect

from tests.browser.conftest import Firm, page
from tests.browser.test_form import CV, fill, send
from tests.client_examples import code
from tests.faulty_proxy import HTML, LOST, PROBLEM, Answer, FaultyProxy

Start = Callable[..., Firm]
THANKS = "Thank you. We have received your details and your CV."
LATER = re.compile(r"Please send the form again in \d+ seconds\. Unless you change it, we save it only once\.$")
UNREACHABLE = re.compile(r"^We could not reach the server\.")
BROKEN = "The form on this page does not work. Please call us or send us an email."


def fill_script(tab: Page, firm: Firm, url: str = "", cv: Path | None = None) -> Locator:
    """Fill in the form with the script, which submits to `url`, and return the element with its messages."""
    form = firm.form.replace(firm.url, url or firm.url)
    firm.site.pages["/"] = page(f'{form}<script type="module">{code("A script on a web page")}</script>')
    fill(tab, firm, cv or CV)
    return tab.get_by_role("status")


def readable(firm: Firm, headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers with those that allow the website's scripts to read the response."""
    cors = {"Access-Control-Allow-Origin": firm.site.origin, "Access-Control-Expose-Headers": "Retry-After"}
    return {**headers, **cors}


def test_a_form_is_saved_and_can_be_filled_in_again(tab: Page, firm: Firm) -> None:
    faults: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    message = fill_script(tab, firm)
    for count in (1, 2):
        send(tab)
        expect(message).to_have_text(THANKS)
        expect(tab.get_by_label("First name")).to_have_value("")
        assert firm.count() == count
        fill_again(tab)
    assert not faults


def fill_again(tab: Page) -> None:
    """Fill in the form with the same content each time."""
    for label, value in (("First name", "Ada"), ("Last name", "Lovelace"), ("Email address", "ada@example.com")):
        tab.get_by_label(label).fill(value)
    tab.get_by_label("CV").set_input_files(CV)


def test_invalid_fields_are_listed_with_their_labels(tab: Page, firm: Firm) -> None:
    message = fill_script(tab, firm)
    tab.locator("form").evaluate("form => { form.noValidate = true }")
    tab.get_by_label("First name").fill("")
    tab.get_by_label("Email address").fill("ada")
    send(tab)
    expect(message).to_have_text(re.compile(r"^First name: .+\nEmail address: .+$"))
    expect(tab.get_by_label("Last name")).to_have_value("Lovelace")
    tab.get_by_label("First name").fill("Ada")
    tab.get_by_label("Email address").fill("ada@example.com")
    send(tab)
    expect(message).to_have_text(THANKS)
    assert firm.count() == 1


def test_submitted_html_is_shown_as_text(tab: Page, firm: Firm) -> None:
    message = fill_script(tab, firm)
    tab.locator("form").evaluate("""form => form.addEventListener("formdata", ({formData}) =>
        formData.append("<img src=x onerror=document.title=1>", new File(["x"], "x")))""")
    send(tab)
    expect(message).to_contain_text("<img src=x")
    assert tab.locator("img").count() == 0


@pytest.mark.parametrize("size", [2**20 + 1, 2**21, 100 * 2**20])
def test_an_oversized_cv_is_explained(tab: Page, firm: Firm, tmp_path: Path, size: int) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        file.truncate(size)
    message = fill_script(tab, firm, cv=large)
    send(tab)
    expect(message).to_have_text("Your CV is too large. Please choose a smaller file.")
    expect(tab.get_by_role("button", name="Send")).to_be_enabled()


def test_beyond_the_rate_limit_the_button_is_disabled_for_the_time_to_wait(tab: Page, firms: Start) -> None:
    firm = firms(INTAKE_CORS_ORIGINS="{site}", INTAKE_RATE_LIMIT="1/minute")
    message = fill_script(tab, firm)
    tab.clock.install()
    send(tab)
    expect(message).to_have_text(THANKS)
    tab.clock.run_for(1)
    fill_again(tab)
    send(tab)
    expect(message).to_have_text(re.compile(r"^Too many forms came from your network\. .* in (5\d|60) seconds\."))
    tab.clock.run_for(40_000)
    expect(tab.get_by_role("button", name="Send")).to_be_disabled()
    tab.clock.run_for(21_000)
    expect(tab.get_by_role("button", name="Send")).to_be_enabled()
    assert firm.count() == 1


def test_an_unavailable_service_is_reported(tab: Page, firms: Start) -> None:
    firm = firms(INTAKE_CORS_ORIGINS="{site}", INTAKE_CV_STORE="file://{directory}/store")
    store = firm.directory / "store"
    message = fill_script(tab, firm)
    store.rename(firm.directory / "away")
    store.write_text("not a directory")
    send(tab)
    expect(message).to_have_text(re.compile(r"^The server could not process your form\. .* in 5 seconds\."))
    store.unlink()
    (firm.directory / "away").rename(store)
    send(tab)  # once the button is enabled
    expect(message).to_have_text(THANKS)
    assert firm.count() == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((409, PROBLEM | {"Retry-After": "1"}, b"{}"), re.compile(r"^Your form is still .* in 1 seconds")),
        ((408, PROBLEM, b"{}"), LATER),
        ((500, PROBLEM, b'{"status": 500}'), LATER),
        ((502, HTML, b"<h1>Bad gateway</h1>"), LATER),
        ((503, HTML | {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b"<h1>Away</h1>"), re.compile("in 5 seconds")),
        ((429, HTML | {"Retry-After": "2"}, b"<h1>Slow down</h1>"), re.compile("^Too many forms .* in 2 seconds")),
        ((413, HTML, b"<h1>Request Entity Too Large</h1>"), re.compile("^Your CV is too large")),
        ((400, PROBLEM, b'{"detail": "the multipart body ends early"}'), BROKEN),
        ((404, HTML, b"<h1>Not found</h1>"), BROKEN),
        ((200, HTML, b"<h1>Welcome to the wifi</h1>"), BROKEN),
    ],
)
def test_every_response_has_a_message(tab: Page, firm: Firm, answer: Answer, text: str | re.Pattern[str]) -> None:
    status, headers, body = answer
    with FaultyProxy(firm.url, (status, readable(firm, headers), body)) as proxy:
        message = fill_script(tab, firm, proxy.url)
        send(tab)
        expect(message).to_have_text(text)
    expect(tab.get_by_label("First name")).to_have_value("Ada")
    assert firm.count() == 0


@pytest.mark.parametrize("answer", [LOST, (502, HTML, b"<h1>Bad gateway</h1>")])
def test_a_retry_has_the_same_key_and_an_edit_a_new_one(tab: Page, firm: Firm, answer: Answer | None) -> None:
    with FaultyProxy(firm.url, answer, answer) as proxy:
        message = fill_script(tab, firm, proxy.url)
        send(tab)
        expect(message).to_have_text(UNREACHABLE)
        with tab.expect_event("requestfailed"):
            send(tab)  # once the button is enabled
        expect(message).to_have_text(UNREACHABLE)
        assert proxy.keys[0] == proxy.keys[1]
        tab.get_by_label("First name").fill("Augusta")
        send(tab)
        expect(message).to_have_text(THANKS, timeout=10_000)
        assert proxy.keys[2] != proxy.keys[0]
    assert firm.count() == (2 if answer is LOST else 1), "the edited form is another lead"


def test_a_lost_response_saves_one_lead(tab: Page, firm: Firm) -> None:
    with FaultyProxy(firm.url, LOST) as proxy:
        message = fill_script(tab, firm, proxy.url)
        send(tab)
        expect(message).to_have_text(UNREACHABLE)
        send(tab)  # once the button is enabled
        expect(message).to_have_text(THANKS, timeout=10_000)
    assert firm.count() == 1


def test_without_a_connection_the_form_can_be_sent_later(tab: Page, firm: Firm) -> None:
    message = fill_script(tab, firm)
    tab.context.set_offline(True)
    send(tab)
    expect(message).to_have_text(UNREACHABLE)
    tab.context.set_offline(False)
    send(tab)  # once the button is enabled
    expect(message).to_have_text(THANKS, timeout=10_000)
    assert firm.count() == 1


def test_a_stopped_service_is_unreachable(tab: Page, firm: Firm) -> None:
    with closing(create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    message = fill_script(tab, firm, f"http://127.0.0.1:{port}")
    send(tab)
    expect(message).to_have_text(UNREACHABLE)


@pytest.mark.parametrize("origins", ["", "https://www.firm.example"])
def test_browser_blocks_other_origins(tab: Page, firms: Start, origins: str) -> None:
    firm = firms(INTAKE_CORS_ORIGINS=origins)
    message = fill_script(tab, firm)
    send(tab)
    expect(message).to_have_text(UNREACHABLE)
    assert firm.count() == 0


def test_same_site_under_another_host_name_is_blocked(tab: Page, firm: Firm) -> None:
    fill_script(tab, firm)
    tab.goto(firm.site.other_origin)
    fill_again(tab)
    send(tab)
    expect(tab.get_by_role("status")).to_have_text(UNREACHABLE)
    assert firm.count() == 0


@pytest.mark.parametrize("path", ["/internal/leads/", "/internal/auth/login", "/readyz", "/metrics"])
def test_allowed_origin_cannot_reach_other_routes(tab: Page, firm: Firm, path: str) -> None:
    tab.goto(firm.site.origin)
    with pytest.raises(Error, match="Failed to fetch"):
        tab.evaluate("url => fetch(url)", firm.url + path)
