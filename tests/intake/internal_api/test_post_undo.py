"""POST /internal/changes/<id>/undo, GET /internal/changes and GET /internal/leads/<id>/history."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, select
from starlette.testclient import TestClient

from intake.database.schema import lead
from intake.leads import bulk_changes
from tests.conftest import Intake
from tests.intake.internal_api.test_post_leads_state import MISSING, fill, post, states


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


def colleagues_change(intake: Intake, ids: list[int], status: str) -> str:
    """Change the leads as harriet, and return the change's id."""
    headers = intake.bearer(intake.user("harriet"))
    body = {"ids": ids, "status": status}
    return str(intake.client.post("/internal/leads/state", json=body, headers=headers).json()["change"])


def test_an_undo_restores_each_state(attorney: TestClient, intake: Intake) -> None:
    pending, engaged = fill(intake, 2), fill(intake, 1, state="ENGAGED")
    first = change(attorney, [*pending, *engaged], "DECLINED")
    answer = undo(attorney, first).json()
    assert answer["results"] == [
        *({"id": number, "result": "undone", "state": "PENDING", "by": None, "at": None} for number in pending),
        *({"id": number, "result": "undone", "state": "ENGAGED", "by": None, "at": None} for number in engaged),
    ]
    assert answer["next"] is None
    assert answer["change"] != first
    assert states(intake) == ["PENDING", "PENDING", "ENGAGED"]


def test_leads_changed_since_are_not_undone(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED")
    for state in ("PENDING", "ENGAGED"):
        attorney.patch(f"/internal/leads/{ids[0]}", json={"status": state})
    assert undone(attorney, first) == {ids[0]: "moved", ids[1]: "undone"}
    assert states(intake) == ["ENGAGED", "PENDING"]


def test_a_moved_lead_has_the_user_and_time_of_its_last_change(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED")
    colleagues_change(intake, ids[:1], "DECLINED")
    event = attorney.get(f"/internal/leads/{ids[0]}/history").json()[-1]
    moved, restored = undo(attorney, first).json()["results"]
    assert moved == {"id": ids[0], "result": "moved", "state": "DECLINED", "by": "harriet", "at": event["at"]}
    assert (restored["result"], restored["by"], restored["at"]) == ("undone", None, None)


def test_an_undo_is_undone(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 3)
    first = change(attorney, ids, "ENGAGED")
    second = undo(attorney, first).json()["change"]
    assert states(intake) == ["PENDING"] * 3
    assert set(undone(attorney, second).values()) == {"undone"}
    assert states(intake) == ["ENGAGED"] * 3


def test_an_interrupted_undo_can_be_repeated(attorney: TestClient, intake: Intake) -> None:
    ids, mine = fill(intake, 2), str(uuid4())
    first = change(attorney, ids, "ENGAGED")
    assert undone(attorney, first, change=mine) == undone(attorney, first, change=mine) == dict.fromkeys(ids, "undone")
    assert states(intake) == ["PENDING"] * 2
    [undoing, original] = attorney.get("/internal/changes").json()
    assert (undoing["count"], original["count"]) == (2, 2)


def test_a_repeated_undo_reports_leads_as_already_undone(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 3)
    first = change(attorney, ids, "ENGAGED")
    attorney.patch(f"/internal/leads/{ids[0]}", json={"status": "DECLINED"})
    undoing = undo(attorney, first).json()["change"]
    attorney.patch(f"/internal/leads/{ids[1]}", json={"status": "DECLINED"})
    for dry_run in (True, False):
        expected = {ids[0]: "moved", ids[1]: "already_undone", ids[2]: "already_undone"}
        assert undone(attorney, first, dry_run=dry_run) == expected
    assert states(intake) == ["DECLINED", "DECLINED", "PENDING"]
    [found] = [one for one in attorney.get("/internal/changes").json() if one["id"] == first]
    assert found["undone_by"] == [{"id": undoing, "count": 2}], "an undo without effect is not listed"


def test_redone_leads_count_as_moved(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED")
    undone(attorney, undo(attorney, first).json()["change"])
    assert set(undone(attorney, first).values()) == {"moved"}
    assert states(intake) == ["ENGAGED"] * 2


def test_a_chain_of_undos_alternates(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    changes = [change(attorney, ids, "ENGAGED")]
    for number in range(6):
        attorney_state, results = ("ENGAGED", "moved") if number % 2 == 0 else ("PENDING", "already_undone")
        assert states(intake) == [attorney_state] * 2
        if number:
            assert set(undone(attorney, changes[0]).values()) == {results}
        changes.append(undo(attorney, changes[-1]).json()["change"])
    attorney.patch(f"/internal/leads/{ids[0]}", json={"status": "DECLINED"})
    assert undone(attorney, changes[-1]) == {ids[0]: "moved", ids[1]: "undone"}
    assert states(intake) == ["DECLINED", "PENDING"]


def test_undoing_another_users_change_needs_others(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = colleagues_change(intake, ids, "ENGAGED")
    refused = undo(attorney, first)
    assert (refused.status_code, refused.json()["title"]) == (409, "Change by another user")
    assert "was made by harriet" in refused.json()["detail"]
    assert '"others": true' in refused.json()["detail"]
    assert states(intake) == ["ENGAGED"] * 2
    assert len(attorney.get("/internal/changes").json()) == 1
    assert undo(attorney, first, others="yes please").status_code == 422
    assert set(undone(attorney, first, dry_run=True).values()) == {"undone"}, "a dry run needs no confirmation"
    assert set(undone(attorney, first, others=True).values()) == {"undone"}
    assert states(intake) == ["PENDING"] * 2


def test_an_undo_works_in_pages(attorney: TestClient, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, mine = fill(intake, 5), str(uuid4())
    first = change(attorney, ids, "ENGAGED")
    monkeypatch.setattr(bulk_changes, "MAX_LEADS", 2)
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = undo(attorney, first, change=mine, after=after).json()
        seen += [one["id"] for one in page["results"]]
        after = page["next"]
    assert seen == ids
    assert states(intake) == ["PENDING"] * 5
    assert attorney.get("/internal/changes").json()[0]["count"] == 5


def test_a_dry_run_has_the_same_results_and_changes_nothing(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED")
    attorney.patch(f"/internal/leads/{ids[1]}", json={"status": "DECLINED"})
    expected = {ids[0]: "undone", ids[1]: "moved"}
    assert undone(attorney, first, dry_run=True) == expected
    assert states(intake) == ["ENGAGED", "DECLINED"]
    assert undone(attorney, first) == expected


def test_an_undo_skips_erased_leads(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    first = change(attorney, ids, "ENGAGED")
    intake.write(lambda c: c.execute(delete(lead).where(lead.c.id == ids[0])))
    assert undone(attorney, first) == {ids[1]: "undone"}
    assert [one["count"] for one in attorney.get("/internal/changes").json()] == [1, 2]


def test_an_empty_change_is_stored_but_not_listed(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 1)
    mine = str(uuid4())
    assert change(attorney, [MISSING], "ENGAGED", change=mine) == mine
    assert attorney.get("/internal/changes").json() == []
    assert post(attorney, ids, "DECLINED", change=mine).status_code == 422, "the id is already used"
    change(attorney, ids, "ENGAGED", change=mine)
    assert [one["id"] for one in attorney.get("/internal/changes").json()] == [mine]


def test_filters_mine_and_undos(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    mine = change(attorney, ids, "ENGAGED")
    undoing = undo(attorney, mine).json()["change"]
    theirs = colleagues_change(intake, ids, "DECLINED")

    def listed(query: str) -> list[str]:
        return [one["id"] for one in attorney.get(f"/internal/changes?{query}").json()]

    assert listed("") == [theirs, undoing, mine]
    assert listed("mine=true") == [undoing, mine]
    assert listed("mine=true&undos=false") == [mine]
    assert listed("undos=false") == [theirs, mine]
    page = attorney.get("/internal/changes?mine=true&limit=1")
    assert "mine=true" in page.links["next"]["url"]


def test_changes_are_found_by_the_prefix_of_their_id(attorney: TestClient, intake: Intake) -> None:
    [number] = fill(intake, 1)
    for name, status in (("6f1a0c1e-0000", "ENGAGED"), ("6f1a0c1e-ffff", "DECLINED"), ("6f1a0c1f-0000", "ENGAGED")):
        change(attorney, [number], status, change=f"{name}-4d0e-9a52-1f6f3c1d2b7a")

    def found(begins: str) -> list[str]:
        return [one["id"][:13] for one in attorney.get(f"/internal/changes?id={begins}").json()]

    assert found("6f1a0c1e") == ["6f1a0c1e-ffff", "6f1a0c1e-0000"]
    assert found("6F1A0C1E-f") == found("6f1a0c1ef") == ["6f1a0c1e-ffff"]
    assert found("6f1a0c1f-0000-4d0e-9a52-1f6f3c1d2b7a") == ["6f1a0c1f-0000"]
    assert found("6f1a0c20") == []


@pytest.mark.parametrize("begins", ["", "42", "6f1a0c1", "6f1a0c1g", "-6f1a0c1e", "6f1a0c1e-", "0" * 33, "6f1a0c1e%0A"])
def test_invalid_prefixes_are_422(attorney: TestClient, begins: str) -> None:
    answer = attorney.get(f"/internal/changes?id={begins}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "id")


@pytest.mark.parametrize("number", ["8f14e45f-ceea-467f-a83c-7e9d1f0b2c31", "x"])
def test_unknown_changes_are_404(attorney: TestClient, number: str) -> None:
    answer = undo(attorney, number)
    assert (answer.status_code, answer.json()["title"]) == (404, "Change not found")
    query = f"/internal/changes?before={number}"
    assert attorney.get(query).status_code == (422 if number == "x" else 404)


def test_the_id_of_an_undo_must_be_unused(attorney: TestClient, intake: Intake) -> None:
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


def test_the_history_is_oldest_first(attorney: TestClient, intake: Intake) -> None:
    [number] = fill(intake, 1)
    first = change(attorney, [number], "ENGAGED")
    attorney.patch(f"/internal/leads/{number}", json={"status": "DECLINED"})
    events = attorney.get(f"/internal/leads/{number}/history").json()
    assert [(one["from"], one["to"], one["user"], one["change"]) for one in events] == [
        ("PENDING", "ENGAGED", "ada", first),
        ("ENGAGED", "DECLINED", "ada", None),
    ]
    assert list(events[0]) == ["at", "user", "from", "to", "change", "undoes"]
    assert attorney.get(f"/internal/leads/{MISSING}/history").status_code == 404


def test_the_history_distinguishes_undos(attorney: TestClient, intake: Intake) -> None:
    [number] = fill(intake, 1)
    first = change(attorney, [number], "ENGAGED")
    undoing = undo(attorney, first).json()["change"]
    attorney.patch(f"/internal/leads/{number}", json={"status": "DECLINED"})
    events = attorney.get(f"/internal/leads/{number}/history").json()
    assert [(one["change"], one["undoes"]) for one in events] == [(first, None), (undoing, first), (None, None)]


def test_an_unconfigured_state_is_not_restored(attorney: TestClient, intake: Intake) -> None:
    [number] = fill(intake, 1, state="OLD")
    first = change(attorney, [number], "ENGAGED")
    answer = undo(attorney, first)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "change")
    assert intake.read(lambda c: c.scalars(select(lead.c.state)).all()) == ["ENGAGED"]
