"""Trusted hosts and security headers."""

from collections.abc import Callable, Mapping

import pytest

from tests.conftest import Intake

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def of(headers: Mapping[str, str]) -> dict[str, str | None]:
    return {name: headers.get(name) for name in ALWAYS}


def test_every_response_has_security_headers(intake: Intake) -> None:
    for method, path in (
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/nothing"),
        ("POST", "/leads/"),
        ("DELETE", "/leads/"),
        ("GET", "/internal/leads/"),
        ("POST", "/internal/auth/login"),
    ):
        assert of(intake.client.request(method, path).headers) == ALWAYS, path
    assert of(intake.submit().headers) == ALWAYS


def test_a_defect_has_security_headers(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake.http.health.schema_error", lambda _database: 1 / 0)
    answer = intake.client.get("/readyz")
    assert (answer.status_code, of(answer.headers)) == (500, ALWAYS)


def test_a_response_may_have_its_own_policy(intake: Intake) -> None:
    assert "style-src 'sha256-" in intake.client.get("/docs").headers["Content-Security-Policy"]


def test_internal_responses_are_not_cached(intake: Intake) -> None:
    intake.client.headers.update(intake.bearer(intake.user()))
    lead_id = intake.submitted()
    for path in ("leads/", "leads", f"leads/{lead_id}", f"leads/{lead_id}/cv-download", "auth/me", "nothing", "users"):
        assert intake.client.get(f"/internal/{path}").headers["Cache-Control"] == "no-store", path
    assert "Cache-Control" not in intake.client.get("/healthz").headers


ALLOWED = ("intake.example", "*.firm.example", "[::1]", "127.0.0.1")


@pytest.mark.parametrize(
    "host",
    [
        "intake.example",
        "INTAKE.example:8000",
        "intake.example.",
        "www.firm.example",
        "a.b.firm.example:80",
        "127.0.0.1:8000",
        "[::1]:8000",
        "[::1]",
    ],
)
def test_allowed_hosts_are_served(start: Callable[..., Intake], host: str) -> None:
    assert start(allowed_hosts=ALLOWED).client.get("/metrics", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "firm.example",
        "evilfirm.example",
        ".firm.example",
        "*.firm.example",
        "evil.example/.firm.example",
        "evil.example#.firm.example",
        "intake.example.evil.example",
        "intake.example@evil.example",
        "127.0.0.1.evil.example",
        "[::2]",
        "[::1",
        "",
    ],
)
def test_other_hosts_are_refused(start: Callable[..., Intake], host: str) -> None:
    intake = start(allowed_hosts=ALLOWED)
    answer = intake.client.get("/metrics", headers={"Host": host})
    assert (answer.status_code, answer.headers["Content-Type"]) == (421, "application/problem+json")
    assert answer.json()["type"] == "/docs#host-not-served"
    assert answer.headers["X-Request-ID"]
    assert of(answer.headers) == ALWAYS
    for path in ("/healthz", "/readyz/"):
        assert intake.client.get(path, headers={"Host": host}).status_code == 200
    assert intake.submit().status_code == 421


def test_by_default_any_host_is_served(intake: Intake) -> None:
    assert intake.client.get("/metrics", headers={"Host": "whatever.example"}).status_code == 200


def test_two_hosts_are_refused(intake: Intake) -> None:
    answer = intake.client.get("/healthz", headers=[("Host", "a.example"), ("Host", "b.example")])
    assert (answer.status_code, answer.json()["title"]) == (400, "Ambiguous host")
