"""CORS of POST /leads/, off by default."""

from collections.abc import Callable

import pytest

from tests.conftest import Intake

FIRM = "https://www.firm.example"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key"}


@pytest.fixture
def intake(start: Callable[..., Intake]) -> Intake:
    return start(cors_origins=(FIRM, "http://localhost:3000"), max_cv_bytes=1000)


@pytest.mark.parametrize("path", ["/leads", "/leads/"])
def test_a_configured_origin_is_allowed(intake: Intake, path: str) -> None:
    may = intake.client.options(path, headers={"Origin": FIRM, **ASKED})
    assert may.status_code == 200
    assert may.headers["Access-Control-Allow-Origin"] == FIRM
    assert may.headers["Access-Control-Allow-Methods"] == "POST"
    assert {"Content-Type", "Idempotency-Key"} <= set(may.headers["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in may.headers
    intake.client.headers["Origin"] = FIRM
    answer = intake.submit()
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, FIRM)
    assert "Origin" in answer.headers["Vary"]
    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After, RateLimit, RateLimit-Policy, X-Request-ID"


def test_errors_are_readable_for_scripts(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    intake.client.headers["Origin"] = FIRM
    answers = [
        intake.submit(f_name=""),
        intake.submit(CV=("x", b"x" * 1001)),
        intake.client.post("/leads/", content=b"", headers={"Content-Type": "text/plain"}),
        intake.client.get("/leads/"),
    ]
    monkeypatch.setattr("intake.public_api.leads.create_lead", defect)
    answers.append(intake.submit())
    assert [answer.status_code for answer in answers] == [422, 413, 415, 405, 500]
    assert {answer.headers.get("Access-Control-Allow-Origin") for answer in answers} == {FIRM}


@pytest.mark.parametrize("origin", ["https://firm.example", f"{FIRM}.evil.example", "null", "http://www.firm.example"])
def test_other_origins_are_not_allowed(intake: Intake, origin: str) -> None:
    intake.client.headers["Origin"] = origin
    may, answer = intake.client.options("/leads/", headers=ASKED), intake.submit()
    assert may.status_code == 400
    assert "Access-Control-Allow-Origin" not in {*may.headers, *answer.headers}
    assert "Origin" in may.headers["Vary"]
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/internal/leads/", "/internal/auth/login", "/readyz", "/nothing"])
def test_other_routes_have_no_cors(intake: Intake, path: str) -> None:
    intake.client.headers["Origin"] = FIRM
    for answer in (intake.client.options(path, headers=ASKED), intake.client.get(path)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_without_the_setting_no_origin_is_allowed(start: Callable[..., Intake]) -> None:
    closed = start()
    closed.client.headers["Origin"] = FIRM
    for answer in (closed.client.options("/leads/", headers=ASKED), closed.submit()):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert closed.client.options("/leads/", headers=ASKED).status_code == 405


def defect(*_args: object, **_kwargs: object) -> None:
    raise RuntimeError("a secret")
