"""Rate limits and upload limits over HTTP."""

import re
from collections.abc import Callable
from ipaddress import ip_network

import pytest

from intake.database.schema import lead
from tests.conftest import Intake

Start = Callable[..., Intake]


def set_address(intake: Intake, address: str) -> None:
    """Set the client's address."""
    intake.client._transport.client = (address, 50_000)  # type: ignore[attr-defined]


def counted(intake: Intake, reason: str) -> float:
    found = re.search(rf'intake_refused_total{{reason="{reason}"}} (\S+)', intake.client.get("/metrics").text)
    return float(found[1]) if found else 0.0


def test_a_client_sees_its_quota_and_is_refused_beyond_it(start: Start) -> None:
    intake = start(rate_limits="3/minute;600/day")
    answers = [intake.submit() for _ in range(5)]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 429, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"minute";q=3;w=60, "day";q=600;w=86400'}
    assert re.fullmatch(r'"minute";r=2;t=20, "day";r=599;t=144', answers[0].headers["RateLimit"])
    assert re.fullmatch(r'"minute";r=0;t=(60|5\d), "day";r=597;t=4[23]\d', answers[3].headers["RateLimit"])
    assert 10 <= int(answers[3].headers["Retry-After"]) <= 20
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert answers[3].json()["title"] == "Too many requests"
    assert counted(intake, "rate") == 2
    assert intake.count(lead) == 3


def test_invalid_submissions_count_too(start: Start) -> None:
    intake = start(rate_limits="2/minute")
    answer = intake.submit(email="no address")
    assert (answer.status_code, answer.headers["RateLimit"][:12]) == (422, '"minute";r=1')
    assert intake.client.post("/leads", content=b"x").status_code == 415
    assert intake.submit().status_code == 429


def test_clients_are_limited_separately_and_an_ipv6_64_is_one(start: Start) -> None:
    intake = start(rate_limits="1/hour")
    for address, status in (
        ("192.0.2.1", 204),
        ("192.0.2.1", 429),
        ("192.0.2.2", 204),
        ("2001:db8::1", 204),
        ("2001:db8::2", 429),
        ("2001:db8:0:1::2", 204),
    ):
        set_address(intake, address)
        assert intake.submit().status_code == status, address


def test_exempt_clients_are_not_limited(start: Start) -> None:
    intake = start(rate_limits="1/hour", rate_limit_exempt=(ip_network("192.0.2.0/24"),))
    set_address(intake, "192.0.2.9")
    answers = [intake.submit() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204] * 3
    assert "RateLimit" not in answers[0].headers


def test_limits_can_be_off(intake: Intake) -> None:
    assert "RateLimit" not in intake.submit().headers


def test_the_internal_api_has_no_rate_limit(start: Start) -> None:
    intake = start(rate_limits="1/hour")
    headers = intake.bearer(intake.user())
    assert intake.submit().status_code == 204
    form, file = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}, {"CV": ("cv.pdf", b"%PDF-1.4")}
    answer = intake.client.post("/internal/leads/", data=form, files=file, headers=headers)
    assert (answer.status_code, "RateLimit" in answer.headers) == (201, False)


def test_submissions_are_accepted_while_the_store_is_unavailable(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    intake = start(rate_limits="1/hour", limits_store="redis://user:hush@127.0.0.1:1")
    answers = [intake.submit() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [204] * 4
    assert max(answer.elapsed.total_seconds() for answer in answers[1:]) < 2
    warnings = [record.message for record in caplog.records if "limits store" in record.message]
    assert len(warnings) == 1
    assert "hush" not in caplog.text
    assert "intake_limits_store_failures_total 1.0" in intake.client.get("/metrics").text


def test_an_untrusted_header_is_logged_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    intake = start(rate_limits="1/hour")
    assert intake.client.get("/readyz").json() == {"status": "ready"}
    for number in range(3):
        intake.client.get("/healthz", headers={"X-Forwarded-For": f"192.0.2.{number}"})
    answer = intake.client.get("/readyz")
    assert answer.status_code == 200
    assert "set INTAKE_TRUSTED_PROXIES" in answer.json()["forwarded"]
    assert caplog.text.count("INTAKE_TRUSTED_PROXIES") == 1


def test_clients_of_a_trusted_proxy_are_limited_separately(start: Start) -> None:
    intake = start(rate_limits="1/hour", trusted_proxies=(ip_network("10.0.0.0/8"),))
    set_address(intake, "10.0.0.1")
    for address, status in (("192.0.2.1", 204), ("192.0.2.1", 429), ("192.0.2.2", 204)):
        intake.client.headers["X-Forwarded-For"] = address
        assert intake.submit().status_code == status
    assert intake.client.get("/readyz").json() == {"status": "ready"}


def test_a_single_upload_is_always_accepted(start: Start) -> None:
    intake = start(max_uploads=1, max_spool_bytes=1)
    for _ in range(3):
        assert intake.submit(CV=("cv.pdf", b"%PDF" + b"x" * 100_000)).status_code == 204


def test_limits_are_in_the_description(intake: Intake) -> None:
    paths = intake.client.get("/internal/openapi.json").json()["paths"]
    answers = paths["/leads/"]["post"]["responses"]
    assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= set(answers["429"]["headers"])
    assert {"RateLimit", "RateLimit-Policy"} <= set(answers["204"]["headers"])
    assert "Retry-After" in answers["503"]["headers"]
    assert "Service busy" in answers["503"]["description"]
    assert "408" in answers
    assert "408" in paths["/internal/auth/login"]["post"]["responses"]
    assert "429" not in paths["/internal/leads/"]["post"]["responses"]
