"""POST /internal/changes/<id>/undo, GET /internal/changes and GET /internal/leads/<id>/history."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, select
from starlette.testclient import TestClient

from intake.database.schema import lead
from intake.leads import changes
from tests.conftest import Intake
from tests.intake.test_post_leads_state import MISSING, fill, post, states


def change(client: TestClient, ids: list[int], status: str, **others: Any) -> str:
    answer = post(client, ids, status, **others)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["change"])


def undo(client: TestClient, change_id: str, **body: Any) -> Any:
    return client.post(f"/internal/changes/{change_id}/undo", json=body)


def undone(client: TestClient, change_id: str, **body: Any) -> dict[int, str]:
    answer = undo(client, change_id, **body)
    assert answer.status_code == 200, answer.text
    return {one["id"]: one["result"] for one in answer.json()["results"]}


def test_every_lead_goes_back_to_where_it_was(attorney: TestClient, intake: Intake) -> None:
    pending, engaged = fill(intake, 2), fill(intake, 1, state="ENGAGED")
    first = change(attorney, [*pending, *engaged], "DECLINED")
    answer = undo(attorney, first).json()
    assert answer["results"] == [
        *({"id": number, "result": "undone", "state": "PENDING"} for number in pending),
        *({"id": number, "result": "undone", "state": "ENGAGED"} for number in engaged),
    ]
    assert answer["next"] is None
    assert answer["change"] != first
    assert states(intake) == ["PENDING", "PENDING", "ENGAGED"]


def test_what_was_moved_since_is_left_even_there_and_back(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED")
    for state in ("PENDING", "ENGAGED"):
        attorney.patch(f"/internal/leads/{ids[0]}", json={"status": state})
    assert undone(attorney, first) == {ids[0]: "moved", ids[1]: "undone"}
    assert states(intake) == ["ENGAGED", "PENDING"]


def test_an_undo_is_undone(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 3)
    first = change(attorney, ids, "ENGAGED")
    second = undo(attorney, first).json()["change"]
    assert states(intake) == ["PENDING"] * 3
    assert set(undone(attorney, second).values()) == {"undone"}
    assert states(intake) == ["ENGAGED"] * 3


def test_an_undo_that_was_cut_off_is_run_again(attorney: TestClient, intake: Intake) -> None:
    ids, mine = fill(intake, 2), str(uuid4())
    first = change(attorney, ids, "ENGAGED")
    assert undone(attorney, first, change=mine) == undone(attorney, first, change=mine) == dict.fromkeys(ids, "undone")
    assert states(intake) == ["PENDING"] * 2
    assert set(undone(attorney, first).values()) == {"moved"}, "by the first undo"
    [latest, undoing, original] = attorney.get("/internal/changes").json()
    assert (latest["count"], undoing["count"], original["count"]) == (0, 2, 2)


def test_it_goes_in_pages(attorney: TestClient, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, mine = fill(intake, 5), str(uuid4())
    first = change(attorney, ids, "ENGAGED")
    monkeypatch.setattr(changes, "MAX_LEADS", 2)
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = undo(attorney, first, change=mine, after=after).json()
        seen += [one["id"] for one in page["results"]]
        after = page["next"]
    assert seen == ids
    assert states(intake) == ["PENDING"] * 5
    assert attorney.get("/internal/changes").json()[0]["count"] == 5


def test_a_dry_run_tells_the_same_and_changes_nothing(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED")
    attorney.patch(f"/internal/leads/{ids[1]}", json={"status": "DECLINED"})
    expected = {ids[0]: "undone", ids[1]: "moved"}
    assert undone(attorney, first, dry_run=True) == expected
    assert states(intake) == ["ENGAGED", "DECLINED"]
    assert undone(attorney, first) == expected


def test_a_lead_that_is_erased_is_passed_over_and_counted_still(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED")
    intake.write(lambda c: c.execute(delete(lead).where(lead.c.id == ids[0])))
    assert undone(attorney, first) == {ids[1]: "undone"}
    assert [one["count"] for one in attorney.get("/internal/changes").json()] == [1, 2]


@pytest.mark.parametrize("number", ["8f14e45f-ceea-467f-a83c-7e9d1f0b2c31", "x"])
def test_what_is_no_change_is_not_found(attorney: TestClient, number: str) -> None:
    answer = undo(attorney, number)
    assert (answer.status_code, answer.json()["title"]) == (404, "Change not found")
    query = f"/internal/changes?before={number}"
    assert attorney.get(query).status_code == (422 if number == "x" else 404)


def test_its_own_id_must_be_free(attorney: TestClient, intake: Intake) -> None:
    first = change(attorney, fill(intake, 1), "ENGAGED")
    assert undo(attorney, first, change=first).status_code == 422


def test_changes_are_listed_newest_first_in_pages(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED", **{"from": "PENDING"})
    second = undo(attorney, first).json()["change"]
    third = change(attorney, [*ids, MISSING], "DECLINED")
    page = attorney.get("/internal/changes?limit=2")
    last = attorney.get(f"/internal/changes{page.links['next']['url']}")
    found = page.json() + last.json()
    assert "next" not in last.links
    assert [one["id"] for one in found] == [third, second, first]
    assert [(one["from"], one["to"], one["undoes"], one["count"]) for one in found] == [
        (None, "DECLINED", None, 2),
        (None, None, first, 2),
        ("PENDING", "ENGAGED", None, 2),
    ]
    assert found[2]["undone_by"] == [{"id": second, "count": 2}]
    assert {one["user"] for one in found} == {"ada"}


def test_a_leads_history_is_kept_oldest_first(attorney: TestClient, intake: Intake) -> None:
    [number] = fill(intake, 1)
    first = change(attorney, [number], "ENGAGED")
    attorney.patch(f"/internal/leads/{number}", json={"status": "DECLINED"})
    events = attorney.get(f"/internal/leads/{number}/history").json()
    assert [(one["from"], one["to"], one["user"], one["change"]) for one in events] == [
        ("PENDING", "ENGAGED", "ada", first),
        ("ENGAGED", "DECLINED", "ada", None),
    ]
    assert list(events[0]) == ["at", "user", "from", "to", "change"]
    assert attorney.get(f"/internal/leads/{MISSING}/history").status_code == 404


def test_a_state_that_is_known_no_more_is_not_gone_back_to(attorney: TestClient, intake: Intake) -> None:
    [number] = fill(intake, 1, state="OLD")
    first = change(attorney, [number], "ENGAGED")
    answer = undo(attorney, first)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "change")
    assert intake.read(lambda c: c.scalars(select(lead.c.state)).all()) == ["ENGAGED"]
