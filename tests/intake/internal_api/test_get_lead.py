"""GET /internal/leads/<id>: one lead, and invalid ids on every route with an id."""

import hashlib

import pytest
from starlette.testclient import TestClient

from tests.conftest import Intake

ODD_IDS = [
    *("abc", "-1", "0", "1.0", "9" * 40, str(2**63), "%00", "%D9%A1", "1%20", "+1", "..", "%2e%2e"),
    *("1%2F2", "1%2F", "1%2fcv-download"),
]


def test_unknown_parameters_are_rejected(attorney: TestClient, intake: Intake) -> None:
    path = f"/internal/leads/{intake.submitted()}"
    for answer in (
        attorney.get(f"{path}?x=1"),
        attorney.patch(f"{path}?from=ENGAGED", json={"status": "DECLINED"}),
        attorney.get(f"{path}/cv-download?x=1"),
    ):
        assert answer.status_code == 422
    assert attorney.get(path).json()["state"] == "PENDING"
    assert attorney.get(f"{path}/").status_code == 200


MORE = ("CV", "suspect", "language", "fields", "consents")


def test_a_lead_with_its_cvs_metadata(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted(CV=("résumé.pdf", b"%PDF-1.7 x"))
    lead = attorney.get(f"/internal/leads/{lead_id}").json()
    assert list(lead) == ["id", "email", "f_name", "l_name", "CV_name", "state", "created_at", *MORE]
    assert lead["CV_name"] == "résumé.pdf"
    assert lead["CV"] == {
        "size": 10,
        "sha256": hashlib.sha256(b"%PDF-1.7 x").hexdigest(),
        "detected_type": "application/pdf",
        "flags": [],
        "scan_state": "unscanned",
        "signature": None,
    }


@pytest.mark.parametrize("odd", ["999", str(2**63 - 1), *ODD_IDS])
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("GET", "/cv-download"), ("PATCH", "")])
def test_invalid_ids_are_explained(attorney: TestClient, odd: str, method: str, suffix: str) -> None:
    body = {"status": "ENGAGED"} if method == "PATCH" else None
    answer = attorney.request(method, f"/internal/leads/{odd}{suffix}", json=body)
    assert answer.status_code in (404, 405), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
