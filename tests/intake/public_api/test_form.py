"""The form of the service, and the responses to it."""

import html
import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from intake.database.schema import lead
from intake.settings.parsers import Contact
from tests.conftest import Intake
from tests.intake.public_api.forms import BROWSER, CV, LOCAL, control, hidden, page, send, tags

PROXY = (ip_network("127.0.0.1"),)


def test_the_form_has_labels_and_the_rules_of_its_fields(intake: Intake) -> None:
    text = page(intake)
    assert [tag["for"] for tag in tags(text, "label")][:4] == ["f_name", "l_name", "email", "CV"]
    assert "maxlength" not in text, "browsers would cut a pasted text without a message"
    assert control(text, "l_name")["aria-describedby"] == "l_name-hint"
    for name, autocomplete in (("f_name", "given-name"), ("l_name", "family-name"), ("email", "email")):
        assert {"required", "dir"} <= control(text, name).keys()
        assert control(text, name)["autocomplete"] == autocomplete
    [form] = tags(text, "form")
    assert (form["action"], form["method"], form["enctype"]) == ("/leads/?lang=en", "post", "multipart/form-data")
    assert form["accept-charset"] == "utf-8"
    assert len(text.encode()) <= 30 * 2**10


def test_the_file_control_has_the_limits_of_the_settings(start: Callable[..., Intake]) -> None:
    text = page(start(cv_extensions=("pdf", "txt"), max_cv_bytes=5 * 2**20))
    assert control(text, "CV")["accept"] == ".pdf,.txt"
    assert "At most 5 MB. Accepted: pdf, txt." in text
    assert "At most 10 MB.</p>" in page(start())


def test_the_form_loads_only_its_script(intake: Intake) -> None:
    answer = intake.client.get("/", headers=LOCAL)
    sources = re.findall(r'\b(?:src|srcset|poster|data)="([^"]*)"', answer.text)
    assert [source.partition("?")[0] for source in sources] == ["/form.js"]
    assert "url(" not in answer.text
    assert "set-cookie" not in answer.headers
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert {"script-src 'self'", "connect-src 'self'", "img-src 'self'", "form-action 'self'"} <= set(policy)
    assert any(directive.startswith("style-src 'sha256-") for directive in policy)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Vary"] == "Accept-Language"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://www.firm.example/thanks?a=b", "'self' https://www.firm.example"),
        ("https://www.firm.example:8443/", "'self' https://www.firm.example:8443"),
        ("/own", "'self'"),
    ],
)
def test_the_form_may_be_redirected_to_the_thanks_url(start: Callable[..., Intake], url: str, target: str) -> None:
    intake = start(form_thanks_url=url)
    policy = intake.client.get("/", headers=LOCAL).headers["Content-Security-Policy"]
    assert f"; form-action {target}; " in policy
    assert send(intake).headers["Location"] == url


def test_only_frame_ancestors_may_frame_the_form(start: Callable[..., Intake]) -> None:
    answer = start().client.get("/", headers=LOCAL)
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    answer = start(form_frame_ancestors=("https://www.firm.example",)).client.get("/", headers=LOCAL)
    assert "X-Frame-Options" not in answer.headers
    assert answer.headers["Content-Security-Policy"].endswith("; frame-ancestors https://www.firm.example")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/leads/", "/leads"])
def test_a_browser_that_opens_the_path_of_submissions_is_redirected(intake: Intake, method: str, path: str) -> None:
    answer = intake.client.request(method, path, headers=LOCAL, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"], answer.headers["Vary"]) == (303, "/", "Accept")
    answer = intake.client.request(method, f"{path}?lang=de", headers=LOCAL, follow_redirects=False)
    assert answer.headers["Location"] == "/?lang=de"
    answer = intake.client.request(method, f"{path}?lang=//evil.example", headers=LOCAL, follow_redirects=False)
    assert answer.headers["Location"] == "/?lang=en"
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.9"):
        answer = intake.client.request(method, path, headers={**LOCAL, "Accept": accept}, follow_redirects=False)
        assert (answer.status_code, answer.headers["Allow"], answer.headers["Vary"]) == (405, "POST", "Accept")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST."])
def test_without_legal_texts_the_form_is_served_on_the_local_machine(intake: Intake, host: str) -> None:
    assert intake.client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({}, "intake.example.com"),
        ({}, "localhost.evil.example"),
        ({}, "[::1"),
        ({"host": "0.0.0.0"}, "localhost"),
        ({"trusted_proxies": PROXY}, "localhost"),
        ({"allowed_hosts": ("localhost",)}, "localhost"),
    ],
)
def test_without_legal_texts_the_form_is_not_served_elsewhere(
    start: Callable[..., Intake], changes: dict[str, Any], host: str
) -> None:
    intake = start(**changes)
    for path in ("/", "/thanks", "/form.js", "/logo"):
        answer = intake.client.get(path, headers={"Host": host})
        assert answer.status_code == 404, path
    answer = intake.client.get("/leads/", headers={"Host": host, "Accept": BROWSER}, follow_redirects=False)
    assert answer.status_code == 405


def test_a_saved_form_is_redirected_to_its_thanks_page(intake: Intake) -> None:
    answer = send(intake)
    assert (answer.status_code, answer.headers["Location"], answer.content) == (303, "/thanks?lang=en", b"")
    assert answer.headers["Vary"] == "Accept"
    row = intake.read(lambda connection: connection.execute(select(lead)).one())
    assert (row.email, row.f_name, row.l_name, row.CV_name) == ("ada@example.com", "Ada", "Lovelace", "cv.pdf")


def test_the_script_gets_no_redirect(intake: Intake) -> None:
    answer = send(intake, headers={"Prefer": "return=minimal"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert send(intake, headers={"Prefer": "return=minimal"}, f_name="").status_code == 422


def test_the_same_form_is_saved_once_from_any_page(intake: Intake) -> None:
    first = hidden(page(intake))
    answers = [send(intake, own=first), send(intake, own=first), send(intake), send(intake, headers={"Accept": "*/*"})]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 204]
    assert intake.count(lead) == 1
    assert send(intake, own=first, f_name="Augusta").status_code == 303
    assert intake.count(lead) == 2


def test_hidden_fields_are_not_counted_as_unknown(intake: Intake) -> None:
    before = intake.client.get("/metrics").text
    assert send(intake).status_code == 303
    after = intake.client.get("/metrics").text
    name = "intake_unknown_form_fields_total"
    assert [line for line in before.splitlines() if line.startswith(name)] == [
        line for line in after.splitlines() if line.startswith(name)
    ]


def test_a_rejected_form_is_shown_again_with_its_values(intake: Intake) -> None:
    answer = send(intake, email="ada", f_name="", l_name='"><b>Lovelace')
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")
    text = answer.text
    assert re.search(r"<title>Error: Send us your details", text)
    [summary] = [tag for tag in tags(text, "div") if tag.get("class") == "summary"]
    assert {"autofocus", "tabindex"} <= summary.keys()
    assert '<div role="alert">' in text
    links = re.findall(r'<a href="#(\w+)">([^<]*)</a>', text)
    assert links == [
        ("f_name", "First name: Fill this in."),
        ("email", "Email address: Write an email address, such as ada@example.com."),
    ]
    for name, value in (("f_name", ""), ("email", "ada")):
        found = control(text, name)
        assert (found["aria-invalid"], found["aria-describedby"], found["value"]) == ("true", f"{name}-error", value)
        assert f'id="{name}-error"' in text
    assert control(text, "l_name")["value"] == '"><b>Lovelace'
    assert "aria-invalid" not in control(text, "l_name")
    assert "<b>" not in text
    assert intake.count(lead) == 0


def test_a_rejected_form_says_that_the_file_must_be_chosen_again(intake: Intake) -> None:
    text = send(intake, f_name="").text
    assert control(text, "CV")["aria-describedby"] == "CV-hint CV-again"
    assert '<p class="hint" id="CV-again">Please choose your file again.' in text
    assert "CV-again" not in send(intake, CV=("", b"")).text
    assert "CV-again" not in page(intake)


def test_a_rejected_form_keeps_its_first_timestamp(intake: Intake) -> None:
    first = hidden(page(intake))
    assert hidden(send(intake, own=first, f_name="").text) == first
    assert (
        hidden(send(intake, own={**first, "timestamp": '"><b>'}, f_name="").text)["timestamp"] == "&#34;&gt;&lt;b&gt;"
    )


def test_an_unknown_file_is_an_error_without_a_link(intake: Intake) -> None:
    headers = {**LOCAL, "Content-Type": "multipart/form-data; boundary=x"}
    parts = [("timestamp", "", "x"), ("CV", '; filename="cv.pdf"', "x"), ("photo", '; filename="a"', "x")]
    body = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n' for name, more, value in parts
    )
    text = intake.client.post("/leads/", content=f"{body}--x--\r\n", headers=headers).text
    assert "<li>Another field: Unknown file. Leave it out.</li>" in text
    assert "photo" not in text


def test_a_label_with_a_full_stop_or_a_question_mark_has_no_colon_after_it(
    start: Callable[..., Intake], tmp_path: Path
) -> None:
    (tmp_path / "form.toml").write_text(
        """
[[fields]]
key = "matter"
type = "text"
required = true
label = {en = "What is it about?"}
[[fields]]
key = "adult"
type = "checkbox"
required = true
label = {en = "I am an adult."}
""",
        encoding="utf-8",
    )
    text = send(start(form=tmp_path / "form.toml")).text
    assert '<a href="#matter">What is it about? Fill this in.</a>' in text
    assert '<a href="#adult">I am an adult. Tick this box.</a>' in text


def test_french_has_a_space_before_the_colon(start: Callable[..., Intake], tmp_path: Path) -> None:
    (tmp_path / "form.toml").write_text('languages = ["en", "fr"]')
    text = send(start(form=tmp_path / "form.toml"), path="/leads/?lang=fr", f_name="").text
    assert '<a href="#f_name">Prénom : Veuillez remplir ce champ.</a>' in text


def test_other_problems_of_the_form_are_pages(start: Callable[..., Intake]) -> None:
    answer = send(start(max_cv_bytes=100), CV=("cv.pdf", b"x" * 1000))
    assert (answer.status_code, "A CV may have up to 100 bytes." in answer.text) == (413, True)


def test_a_program_gets_json_for_the_hidden_fields_too(intake: Intake) -> None:
    answer = send(intake, f_name="", headers={"Accept": "*/*"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_the_name_of_the_firm_is_in_the_title(start: Callable[..., Intake]) -> None:
    intake = start(firm_contact=Contact("020 7946 0000 <office@firm.example>"), firm_url="https://firm.example/?a&b")
    text = page(intake)
    assert "<bdi>020 7946 0000 &lt;office@firm.example&gt;</bdi>" in text
    assert 'href="https://firm.example/?a&amp;b" target="_top"' in text
    assert html.unescape(text).count("office@firm.example") == 1


def test_the_form_can_be_requested_with_head(intake: Intake) -> None:
    answer = intake.client.head("/", headers=LOCAL)
    assert answer.status_code == 200
    assert intake.client.post("/", headers=LOCAL).status_code == 405
    assert CV[0] not in answer.text
