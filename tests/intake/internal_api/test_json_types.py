"""Strict types of numbers and flags in bodies and queries."""

from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from tests.conftest import Intake

NOT_NUMBERS = [True, False, 1.0, "1", None, [1], 1e0]
NOT_FLAGS = [1, 0, "true", "no", None]
UNDO = f"/internal/changes/{uuid4()}/undo"


@pytest.fixture
def administrator(intake: Intake) -> TestClient:
    intake.client.headers.update(intake.bearer(intake.user(role="admin")))
    return intake.client


def state_of(client: TestClient, number: int) -> str:
    return str(client.get(f"/internal/leads/{number}").json()["state"])


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_ids_in_bodies_must_be_integers(administrator: TestClient, intake: Intake, value: Any) -> None:
    number = intake.submitted()
    answer = administrator.post("/internal/leads/state", json={"ids": [value], "status": "ENGAGED"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "ids.0")
    assert state_of(administrator, number) == "PENDING"
    answer = administrator.post("/internal/mail/retry", json={"ids": [value]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "ids.0")
    answer = administrator.post(UNDO, json={"after": value})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "after")


@pytest.mark.parametrize("value", NOT_FLAGS, ids=repr)
def test_flags_in_bodies_must_be_booleans(administrator: TestClient, intake: Intake, value: Any) -> None:
    number = intake.submitted()
    for path, body in (
        ("/internal/leads/state", {"ids": [number], "status": "ENGAGED"}),
        (UNDO, {}),
        ("/internal/persons/erase", {"email": "ada@example.com"}),
    ):
        answer = administrator.post(path, json={**body, "dry_run": value})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "dry_run"), path
    assert state_of(administrator, number) == "PENDING"


@pytest.mark.parametrize("value", ["1.0", "1_0", "%201", "1%20", "%2B1", "true", "%EF%BC%91", "0x1", "1e0", ""])
@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/internal/leads/", ("limit", "after")),
        ("/internal/mail", ("limit", "after", "lead")),
        ("/internal/users", ("limit", "after")),
        ("/internal/audit", ("limit", "after", "lead")),
        ("/internal/changes", ("limit",)),
    ],
)
def test_numbers_in_queries_must_be_digits(
    administrator: TestClient, path: str, names: tuple[str, ...], value: str
) -> None:
    for name in names:
        answer = administrator.get(f"{path}?{name}={value}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, name)
        assert administrator.get(f"{path}?{name}=1").status_code == 200
