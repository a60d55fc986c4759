"""GET /internal/users."""

import pytest
from starlette.testclient import TestClient

from tests.conftest import Intake


@pytest.fixture
def admin(intake: Intake) -> TestClient:
    """An administrator's client, with three users."""
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    intake.user("Peter")
    intake.user("bunter", disabled=True)
    return intake.client


def test_fields_of_a_user(admin: TestClient) -> None:
    users = admin.get("/internal/users").json()
    assert [list(user) for user in users] == [["id", "username", "role", "disabled", "created_at"]] * 3
    summaries = [(user["username"], user["role"], user["disabled"]) for user in users]
    assert summaries == [("harriet", "admin", False), ("Peter", "attorney", False), ("bunter", "attorney", True)]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages(admin: TestClient, order: str) -> None:
    seen, path = [], f"?limit=2&order={order}"
    while path:
        answer = admin.get(f"/internal/users{path}")
        seen += [user["id"] for user in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert seen == ([1, 2, 3] if order == "asc" else [3, 2, 1])


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-1", "name=x", "order=up"])
def test_invalid_queries(admin: TestClient, query: str) -> None:
    answer = admin.get(f"/internal/users?{query}")
    assert [fault["field"] for fault in answer.json()["errors"]] == [query.partition("=")[0]]


def test_only_administrators_are_allowed(intake: Intake, attorney: TestClient) -> None:
    assert attorney.get("/internal/users").status_code == 403
