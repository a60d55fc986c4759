"""GET /internal/leads/<id>/cv-text."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from starlette.testclient import TestClient

from intake.cv_text.runner import Extraction
from intake.database.schema import audit
from intake.leads import cv_texts, listing
from intake.leads.models import ScanState
from tests.conftest import Intake

NOTHING: dict[str, Any] = {"reason": None, "text": None, "pages": [], "truncated": False, "guessed": False}


def settle(intake: Intake, result: Extraction) -> None:
    job = cv_texts.claim(intake.database)
    assert job is not None
    cv_texts.record_text(intake.database, job, listing.get_lead(intake.database, job.lead_id), result)


def test_a_pending_text(intake: Intake, attorney: TestClient) -> None:
    path = f"/internal/leads/{intake.submitted()}/cv-text"
    assert attorney.get(path).json() == {"state": "pending", **NOTHING}
    assert list(attorney.get(path).json()) == ["state", "reason", "text", "pages", "truncated", "guessed"]


def test_a_text_and_its_audit_entry(intake: Intake, attorney: TestClient) -> None:
    lead_id = intake.submitted()
    result = Extraction(state="done", text="Ada\n\nÄ 漢 🎉", pages=[0, 5], truncated=True, guessed=True)
    settle(intake, result)
    found = [attorney.get(f"/internal/leads/{lead_id}/cv-text").json() for _ in range(2)]
    assert found == [result.model_dump()] * 2
    entries = intake.read(lambda c: c.execute(select(audit.c.action, audit.c.lead_id, audit.c.user_id)).all())
    assert [tuple(entry) for entry in entries] == [("cv-text", lead_id, 1)]


def test_reasons(intake: Intake, attorney: TestClient) -> None:
    failed = intake.submitted()
    settle(intake, Extraction(state="failed", reason="encrypted"))
    withheld = intake.submitted()
    intake.write(lambda connection: cv_texts.withhold(connection, withheld, ScanState.QUARANTINED))
    answers = [attorney.get(f"/internal/leads/{lead_id}/cv-text").json() for lead_id in (failed, withheld)]
    assert [(one["state"], one["reason"]) for one in answers] == [("failed", "encrypted"), ("withheld", "quarantined")]
    assert intake.count(audit) == 0, "no text was delivered"


def test_extraction_that_is_off(start: Callable[..., Intake]) -> None:
    intake = start(cv_text=False)
    intake.client.headers.update(intake.bearer(intake.user()))
    path = f"/internal/leads/{intake.submitted()}/cv-text"
    assert intake.client.get(path).json() == {"state": "off", **NOTHING}


def test_refusals(intake: Intake, attorney: TestClient) -> None:
    assert attorney.get("/internal/leads/99/cv-text").status_code == 404
    assert attorney.get("/internal/leads/x/cv-text").status_code == 404
    path = f"/internal/leads/{intake.submitted()}/cv-text"
    assert attorney.get(path, params={"audit": "no"}).status_code == 422, "no client can opt out"
    del attorney.headers["Authorization"]
    assert attorney.get(path).status_code == 401
