"""GET /internal/search: words, where they are found, pages."""

from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from intake.database import word_index
from intake.database.schema import audit, lead_words
from tests.conftest import Intake

PEOPLE = [
    ("ethan.nguyen@example.com", "Ethan", "Nguyễn"),
    ("garcia@example.com", "José", "García Márquez"),
    ("taro@example.jp", "太郎", "山田"),
    ("other@example.com", "Ethan", "Smith"),
]


@pytest.fixture
def client(attorney: TestClient, intake: Intake) -> TestClient:
    """An attorney's client on a service with PEOPLE, oldest first."""
    for email, f_name, l_name in PEOPLE:
        intake.submitted(email=email, f_name=f_name, l_name=l_name)
    return attorney


def search(client: TestClient, q: str, **more: Any) -> Any:
    answer = client.get("/internal/search", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def marked(match: dict[str, Any]) -> list[str]:
    return [match["text"][start:end] for start, end in match["highlights"]]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("ethan nguyen", [1]),
        ("ETHAN", [4, 1]),
        ("garcia marq", [2]),
        ("山田 太郎", [3]),
        ("thomas", []),
        ("example com", [4, 2, 1]),
    ],
)
def test_leads_that_have_all_words_are_found_newest_first(client: TestClient, q: str, found: list[int]) -> None:
    page = search(client, q)
    assert [one["id"] for one in page["results"]] == found
    assert (page["total"], page["next"], page["unindexed"]) == (len(found), None, 0)
    assert [one["id"] for one in search(client, q, order="asc")["results"]] == found[::-1]


def test_results_show_where_the_words_are(client: TestClient) -> None:
    [result] = search(client, "nguyen e")["results"]
    assert list(result)[:7] == ["id", "email", "f_name", "l_name", "CV_name", "state", "created_at"]
    assert [(one["field"], one["text"], marked(one), one["page"]) for one in result["matches"]] == [
        ("f_name", "Ethan", ["Ethan"], None),
        ("l_name", "Nguyễn", ["Nguyễn"], None),
        ("email", "ethan.nguyen@example.com", ["ethan", "nguyen", "example"], None),
    ]
    assert result["search_truncated"] is False


def test_pages_and_filters(client: TestClient) -> None:
    first = search(client, "example", limit=2)
    assert ([one["id"] for one in first["results"]], first["next"], first["total"]) == ([4, 3], 3, 4)
    second = search(client, "example", limit=2, after=first["next"])
    assert ([one["id"] for one in second["results"]], second["next"], second["total"]) == ([2, 1], None, 4)
    client.patch("/internal/leads/2", json={"status": "ENGAGED"})
    filtered = search(client, "example", state="PENDING", f_name="e*")
    assert ([one["id"] for one in filtered["results"]], filtered["total"]) == ([4, 1], 2)
    assert search(client, "example", until="2020-01-01T00:00:00Z")["total"] == 0


def test_many_leads_are_not_counted(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_index, "MAX_PROBED", 2)
    page = search(client, "example", limit=2)
    assert ([one["id"] for one in page["results"]], page["total"], page["next"]) == ([4, 3], None, 3)
    assert search(client, "garcia")["total"] == 1


def test_a_lead_with_too_many_words_is_marked(client: TestClient, intake: Intake) -> None:
    intake.write(lambda c: c.execute(lead_words.update().values(search_truncated=lead_words.c.lead_id == 4)) and None)
    assert [one["search_truncated"] for one in search(client, "ethan")["results"]] == [True, False]


def test_a_search_is_recorded_without_its_words(client: TestClient, intake: Intake) -> None:
    search(client, "ethan", state="PENDING", limit=1)
    query = select(audit.c.user_id, audit.c.lead_id, audit.c.detail).where(audit.c.action == "search")
    assert [tuple(row) for row in intake.read(lambda c: c.execute(query).all())] == [(1, None, "by state, q")]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("q=-", "q"),
        ("q=" + "+".join(map(str, range(17))), "q"),
        ("q=a&limit=101", "limit"),
        ("q=a&state=LOST", "state"),
        ("q=a&words=b", "words"),
    ],
)
def test_invalid_queries_name_the_parameter(client: TestClient, query: str, field: str) -> None:
    answer = client.get(f"/internal/search?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
