"""POST /internal/leads/{id}/clear-suspect, and suspect leads in lists and statistics."""

from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from intake.database.schema import audit, confirmed_mailbox
from intake.form.timestamps import FormKey
from tests.conftest import Intake
from tests.intake.mail.test_outbox import claim
from tests.intake.public_api.test_form_fields import mails, suspicion


def suspect(intake: Intake, **fields: Any) -> int:
    """Submit a lead with a filled honeypot, and return its id."""
    return intake.submitted(**{FormKey.from_database(intake.database).honeypot: "x"}, **fields)


def clear(client: TestClient, lead_id: object) -> int:
    return client.post(f"/internal/leads/{lead_id}/clear-suspect").status_code


def test_mails_of_a_cleared_lead_are_queued(intake: Intake, attorney: TestClient) -> None:
    lead_id = suspect(intake)
    assert claim(intake) == []
    assert clear(attorney, lead_id) == 204
    assert suspicion(intake) == [None]
    assert {mail[1:] for mail in mails(intake)} == {("queued", None)}
    assert len(claim(intake)) == 3
    assert intake.count(confirmed_mailbox) == 1
    entries = intake.read(lambda c: c.execute(select(audit.c.action, audit.c.lead_id, audit.c.detail)).all())
    assert ("suspect-cleared", lead_id, "honeypot") in [tuple(row) for row in entries]


def test_clearing_again_changes_nothing(intake: Intake, attorney: TestClient) -> None:
    lead_id = suspect(intake)
    answers = [attorney.post(f"/internal/leads/{lead_id}/clear-suspect") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 204]
    assert [answer.headers["Suspect-Cleared"] for answer in answers] == ["true", "false"]
    assert len(claim(intake)) == 3
    entries = intake.read(lambda c: c.scalars(select(audit.c.id).where(audit.c.action == "suspect-cleared")).all())
    assert len(entries) == 1


def test_a_confirmation_stays_suppressed_if_its_mailbox_had_one(intake: Intake, attorney: TestClient) -> None:
    lead_id = suspect(intake)
    intake.submitted(f_name="Ada Augusta")
    assert clear(attorney, lead_id) == 204
    confirmation, *alerts = mails(intake)[:3]
    assert confirmation[:2] == ("confirmation", "suppressed")
    assert "its mailbox had a confirmation" in str(confirmation[2])
    assert {alert[1] for alert in alerts} == {"queued"}


def test_suppressed_mails_of_other_leads_stay_so(intake: Intake, attorney: TestClient) -> None:
    intake.submitted()
    other = intake.submitted(f_name="Ada Augusta")
    assert clear(attorney, other) == 204
    assert [mail[1] for mail in mails(intake) if mail[0] == "confirmation"] == ["queued", "suppressed"]


@pytest.mark.parametrize("lead_id", ["1", "x", 2**63])
def test_unknown_leads_are_404(attorney: TestClient, lead_id: object) -> None:
    assert clear(attorney, lead_id) == 404


def test_a_user_is_required(intake: Intake) -> None:
    assert clear(intake.client, suspect(intake)) == 401


def test_lists_are_filtered_by_suspicion(intake: Intake, attorney: TestClient) -> None:
    ids = [suspect(intake, email="a@example.com"), intake.submitted(), suspect(intake, f_name="Bo")]

    def listed(**query: Any) -> tuple[list[int], str | None]:
        answer = attorney.get("/internal/leads/", params=query)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()], answer.headers.get("Suspect-Omitted")

    assert listed() == (ids, None)
    assert listed(suspect="true") == ([ids[0], ids[2]], None)
    assert listed(suspect="false") == ([ids[1]], "2")
    assert listed(suspect="false", limit=1, f_name="Bo") == ([], "1")
    assert listed(suspect="false", q="lovelace bo") == ([], "1")
    assert listed(suspect="false", state="ENGAGED") == ([], "0")
    leads = attorney.get("/internal/leads/", params={"include": "suspect"}).json()
    assert [one["suspect"] for one in leads] == ["honeypot", None, "honeypot"]
    assert attorney.get(f"/internal/leads/{ids[0]}").json()["suspect"] == "honeypot"


def test_statistics_without_suspect_leads(intake: Intake, attorney: TestClient) -> None:
    first, second = suspect(intake), intake.submitted(email="b@example.com")

    def stats(**query: str) -> tuple[Any, ...]:
        found = attorney.get("/internal/stats", params=query).json()
        days = list(found["days"].values())[-1]
        return found["total"], found["states"]["PENDING"], days, found["oldest_waiting"]["id"], found["suspect"]

    assert stats() == (2, 2, 2, first, 1)
    assert stats(suspect="false") == (1, 1, 1, second, 1)
    assert stats(suspect="true") == (1, 1, 1, first, 1)
