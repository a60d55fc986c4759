"""HTML responses of POST /leads/ to a browser's form."""

import html
from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Response

from intake.database.schema import lead
from intake.errors import DatabaseUnavailable
from intake.settings.parsers import Contact
from tests.conftest import Intake

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
MULTIPART = "multipart/form-data; boundary=x"


def send(intake: Intake, accept: str = BROWSER, **fields: Any) -> Response:
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", **fields}
    file = form.pop("CV", ("cv.pdf", b"%PDF-1.4 a CV"))
    return intake.client.post(
        "/leads/", data=form, files={"CV": file}, headers={"Accept": accept}, follow_redirects=False
    )


def send_raw(intake: Intake, body: bytes, content_type: str) -> Response:
    return intake.client.post("/leads", content=body, headers={"Accept": BROWSER, "Content-Type": content_type})


def unavailable(*_args: object, **_kwargs: object) -> None:
    raise DatabaseUnavailable("the database is unavailable")


def defect(*_args: object, **_kwargs: object) -> None:
    raise RuntimeError("a secret")


def test_a_form_gets_a_page_of_thanks(intake: Intake) -> None:
    answer = send(intake)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>Thank you</h1>" in answer.text
    assert answer.headers["Vary"] == "Accept"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "<script" not in answer.text
    assert "Ada" not in answer.text
    assert intake.count(lead) == 1


@pytest.mark.parametrize("url", ["https://www.firm.example/thanks?from=form", "/thanks"])
def test_a_form_redirects_to_the_firms_own_page(start: Callable[..., Intake], url: str) -> None:
    intake = start(form_thanks_url=url)
    answer = send(intake)
    assert (answer.status_code, answer.headers["Location"], answer.content) == (303, url, b"")
    assert send(intake, "*/*").status_code == 204
    assert send(intake, f_name="").status_code == 422


def test_only_form_frame_ancestors_may_frame_a_page(start: Callable[..., Intake]) -> None:
    for answer in (send(start()), send(start(), f_name="")):
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"
    intake = start(form_frame_ancestors=("https://www.firm.example", "https://firm.example"))
    for answer in (send(intake), send(intake, f_name="")):
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        assert policy[-1] == "frame-ancestors https://www.firm.example https://firm.example"
        assert "X-Frame-Options" not in answer.headers
    for answer in (send(intake, "*/*"), intake.client.get("/docs"), intake.client.get("/leads/")):
        assert answer.headers["X-Frame-Options"] == "DENY", "only pages for senders may be framed"


@pytest.mark.parametrize("accept", ["*/*", "application/json, text/html;q=0.9"])
def test_other_clients_get_unchanged_responses(intake: Intake, accept: str) -> None:
    answer = send(intake, accept)
    assert (answer.status_code, answer.content) == (204, b"")
    refused = send(intake, accept, f_name="")
    assert refused.headers["content-type"] == "application/problem+json"
    assert answer.headers["Vary"] == refused.headers["Vary"] == "Accept"


def test_pages_link_back_and_show_the_contact(start: Callable[..., Intake]) -> None:
    intake = start(firm_url="https://firm.example/?a&b", firm_contact=Contact("020 7946 0000 <office@firm.example>"))
    for page in (send(intake).text, send(intake, f_name="").text):
        assert '<a href="https://firm.example/?a&amp;b" target="_top">Back to ' in page
        assert "<bdi>020 7946 0000 &lt;office@firm.example&gt;</bdi>" in page


def test_pages_without_these_settings_have_no_empty_footer(intake: Intake) -> None:
    for page in (send(intake).text, send(intake, f_name="").text):
        assert "<footer" not in page
        assert "href" not in page


def test_a_page_has_the_labels_of_fields(intake: Intake) -> None:
    answer = send(intake, email="ada", f_name="", l_name="a\0b", CV=("cv.pdf", b""))
    assert answer.status_code == 422
    for label in ("Email address", "First name", "Last name", "CV"):
        assert f"<bdi>{label}</bdi>" in answer.text
    assert '<html lang="en" dir="ltr">' in answer.text
    assert 'role="alert"' in answer.text
    assert "Back button" in answer.text
    assert intake.count(lead) == 0


def test_names_of_unknown_fields_are_not_shown(intake: Intake) -> None:
    head = b'Content-Disposition: form-data; name="Call 0900 1<script>"; filename="a"'
    answer = send_raw(intake, b"--x\r\n" + head + b"\r\n\r\na\r\n--x--\r\n", MULTIPART)
    assert answer.status_code == 422
    assert "<bdi>Another field</bdi></strong> <bdi>Unknown file" in answer.text
    assert "0900" not in answer.text
    assert "script" not in answer.text


def test_submitted_text_is_escaped(intake: Intake) -> None:
    answer = send(intake, email="Ada <o'b&c@example.com>")
    assert answer.status_code == 422
    assert "o&#39;b&amp;c@example.com" in answer.text


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"noise", MULTIPART, 400, "did not arrive in one piece"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "What you sent can't be read"),
        (b"--x--\r\n", MULTIPART, 422, "Choose a file"),
        (b"x" * 300_000, MULTIPART, 413, "A CV may have up to 2 KB."),
    ],
    ids=["malformed", "no form", "empty", "large"],
)
def test_every_problem_is_a_page(
    start: Callable[..., Intake], body: bytes, content_type: str, status: int, said: str
) -> None:
    answer = send_raw(start(max_cv_bytes=2048), body, content_type)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert said.lower() in html.unescape(answer.text).lower()
    assert "multipart" not in answer.text, "notes for technicians"
    assert answer.headers["X-Request-ID"]


def test_a_page_has_the_headers_of_the_original_response(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake.public_api.leads.create_lead", unavailable)
    answer = send(intake)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "send it again in 5 seconds" in answer.text


def test_the_page_of_a_defect_has_no_details(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake.public_api.leads.create_lead", defect)
    answer = send(intake)
    assert answer.status_code == 500
    assert answer.headers["X-Request-ID"] not in answer.text
    assert "a secret" not in answer.text


def test_a_form_sent_twice_is_saved_once(intake: Intake) -> None:
    assert [send(intake).status_code for _ in range(3)] == [200, 200, 200]
    assert intake.count(lead) == 1
    assert send(intake, f_name="Augusta").status_code == 200
    assert send(intake, CV=("cv.pdf", b"%PDF-1.4 a newer CV")).status_code == 200
    assert intake.count(lead) == 3
    assert [send(intake, "*/*").status_code for _ in range(2)] == [204, 204]
    assert intake.count(lead) == 5, "programs mark retries with a key"


def test_other_routes_and_methods_are_unchanged(intake: Intake) -> None:
    for method, path in (("GET", "/leads/"), ("GET", "/internal/leads/"), ("POST", "/internal/auth/login")):
        answer = intake.client.request(method, path, headers={"Accept": BROWSER})
        assert answer.headers["content-type"] == "application/problem+json", path
