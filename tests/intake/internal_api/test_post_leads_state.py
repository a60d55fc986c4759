"""POST /internal/leads/state: bulk changes in one transaction."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select
from starlette.testclient import TestClient

from intake.database.schema import change, lead, lead_event
from tests.conftest import Intake

MISSING = 999_999


def fill(intake: Intake, count: int, *, state: str = "PENDING") -> list[int]:
    """Insert leads without CVs, and return their ids."""
    row = {"email": "a@b.c", "f_name": "A", "l_name": "B", "CV_name": "cv", "state": state}
    keys = {"email_key": "a@b.c", "f_name_key": "a", "l_name_key": "b"}
    statement = insert(lead).returning(lead.c.id)
    return sorted(intake.write(lambda c: c.scalars(statement, [{**row, **keys}] * count).all()))


def post(client: TestClient, ids: list[int], status: str, **others: Any) -> Any:
    return client.post("/internal/leads/state", json={"ids": ids, "status": status, **others})


def results(client: TestClient, ids: list[int], status: str, **others: Any) -> list[str]:
    answer = post(client, ids, status, **others)
    assert answer.status_code == 200, answer.text
    assert [one["id"] for one in answer.json()["results"]] == ids
    return [one["result"] for one in answer.json()["results"]]


def states(intake: Intake) -> list[str]:
    return list(intake.read(lambda c: c.scalars(select(lead.c.state).order_by(lead.c.id)).all()))


def test_each_lead_has_a_result_and_one_event(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 3)
    answer = post(attorney, [*ids, MISSING], "ENGAGED").json()
    nobody = {"by": None, "at": None}
    assert answer["results"] == [
        *({"id": number, "result": "changed", "state": "ENGAGED", **nobody} for number in ids),
        {"id": MISSING, "result": "missing", "state": None, **nobody},
    ]
    assert states(intake) == ["ENGAGED"] * 3
    events = intake.read(lambda c: c.execute(select(lead_event).order_by(lead_event.c.id)).mappings().all())
    assert [(event["lead_id"], event["from_state"], event["to_state"]) for event in events] == [
        (number, "PENDING", "ENGAGED") for number in ids
    ]
    assert {str(event["change_id"]) for event in events} == {answer["change"]}
    last = intake.read(lambda c: c.scalars(select(lead.c.last_event_id).order_by(lead.c.id)).all())
    assert last == [event["id"] for event in events]
    stored = intake.read(lambda c: c.execute(select(change)).mappings().one())
    assert (stored["to_state"], stored["from_state"], stored["count"], stored["user_id"]) == ("ENGAGED", None, 3, 1)


def test_a_lead_in_the_new_state_is_unchanged(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 2)
    assert results(attorney, ids, "PENDING") == ["unchanged"] * 2
    assert intake.count(lead_event) == 0


def test_from_makes_other_states_conflicts(attorney: TestClient, intake: Intake) -> None:
    pending, engaged = fill(intake, 2), fill(intake, 2, state="ENGAGED")
    assert (
        results(attorney, [*pending, *engaged], "DECLINED", **{"from": "PENDING"}) == ["changed"] * 2 + ["conflict"] * 2
    )
    assert states(intake) == ["DECLINED"] * 2 + ["ENGAGED"] * 2


def test_an_interrupted_change_can_be_repeated(attorney: TestClient, intake: Intake) -> None:
    """Even under another change id: a lead that the user already moved to the state is unchanged."""
    ids = fill(intake, 4)
    assert results(attorney, ids[:2], "REACHED_OUT", **{"from": "PENDING"}) == ["changed"] * 2
    assert results(attorney, ids, "REACHED_OUT", **{"from": "PENDING"}) == ["unchanged"] * 2 + ["changed"] * 2


def test_one_of_two_claims_succeeds(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 1)
    grace = intake.bearer(intake.user("grace"))
    assert results(attorney, ids, "REACHED_OUT", **{"from": "PENDING"}) == ["changed"]
    body = {"ids": ids, "status": "REACHED_OUT", "from": "PENDING"}
    answer = attorney.post("/internal/leads/state", json=body, headers=grace)
    [event] = attorney.get(f"/internal/leads/{ids[0]}/history").json()
    lost = {"id": ids[0], "result": "conflict", "state": "REACHED_OUT", "by": "ada", "at": event["at"]}
    assert answer.json()["results"] == [lost]


def test_a_conflict_has_the_user_and_time_of_the_last_change(attorney: TestClient, intake: Intake) -> None:
    """Null for a lead that was never changed; other results have neither."""
    taken, untouched, mine = *fill(intake, 1), *fill(intake, 1, state="ENGAGED"), *fill(intake, 1)
    body = {"ids": [taken], "status": "ENGAGED"}
    attorney.post("/internal/leads/state", json=body, headers=intake.bearer(intake.user("grace")))
    [event] = attorney.get(f"/internal/leads/{taken}/history").json()
    for dry_run in (True, False):
        ids = [taken, untouched, mine, MISSING]
        answer = post(attorney, ids, "DECLINED", **{"from": "PENDING"}, dry_run=dry_run).json()["results"]
        assert [one["result"] for one in answer] == ["conflict", "conflict", "changed", "missing"]
        assert [(one["by"], one["at"]) for one in answer] == [("grace", event["at"]), *[(None, None)] * 3]


def test_a_repeated_change_changes_nothing_twice(attorney: TestClient, intake: Intake) -> None:
    first, second = fill(intake, 2)
    mine = str(uuid4())
    assert results(attorney, [first], "ENGAGED", change=mine) == ["changed"]
    attorney.patch(f"/internal/leads/{first}", json={"status": "DECLINED"})
    answer = post(attorney, [first, second], "ENGAGED", change=mine).json()
    assert [(one["result"], one["state"]) for one in answer["results"]] == [
        ("changed", "DECLINED"),
        ("changed", "ENGAGED"),
    ]
    assert states(intake) == ["DECLINED", "ENGAGED"]
    assert intake.read(lambda c: c.scalars(select(change.c.count)).all()) == [2]


def test_a_change_id_belongs_to_one_user_and_state(attorney: TestClient, intake: Intake) -> None:
    ids, mine = fill(intake, 1), str(uuid4())
    results(attorney, ids, "ENGAGED", change=mine)
    grace = intake.bearer(intake.user("grace"))
    body = {"ids": ids, "status": "ENGAGED", "change": mine}
    for dry_run in (False, True):
        answers = (
            post(attorney, ids, "DECLINED", change=mine, dry_run=dry_run),
            attorney.post("/internal/leads/state", json={**body, "dry_run": dry_run}, headers=grace),
        )
        for answer in answers:
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "change")
    assert states(intake) == ["ENGAGED"]


def test_a_dry_run_has_the_same_results_and_changes_nothing(attorney: TestClient, intake: Intake) -> None:
    ids = [*fill(intake, 2), *fill(intake, 1, state="ENGAGED"), MISSING]
    expected = ["changed", "changed", "conflict", "missing"]
    assert results(attorney, ids, "DECLINED", **{"from": "PENDING"}, dry_run=True) == expected
    assert states(intake) == ["PENDING", "PENDING", "ENGAGED"]
    assert intake.count(change) == intake.count(lead_event) == 0
    assert results(attorney, ids, "DECLINED", **{"from": "PENDING"}) == expected


def test_an_id_may_repeat(attorney: TestClient, intake: Intake) -> None:
    [number] = fill(intake, 1)
    assert results(attorney, [number, number], "ENGAGED") == ["changed", "changed"]
    assert intake.count(lead_event) == 1


def test_concurrent_changes_neither_deadlock_nor_get_lost(start: Callable[..., Intake]) -> None:
    intake = start()
    users = [intake.bearer(intake.user(f"user{n}")) for n in range(6)]
    ids = fill(intake, 200)

    def claim(n: int) -> Any:
        order = ids if n % 2 else ids[::-1]
        body = {"ids": order, "status": "REACHED_OUT", "from": "PENDING"}
        return intake.client.post("/internal/leads/state", json=body, headers=users[n])

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(claim, range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    won = [one["id"] for answer in answers for one in answer.json()["results"] if one["result"] == "changed"]
    assert sorted(won) == ids
    assert intake.count(lead_event) == 200


def test_ten_thousand_leads_in_one_request(attorney: TestClient, intake: Intake) -> None:
    ids = fill(intake, 10_000)
    assert set(results(attorney, ids, "ENGAGED")) == {"changed"}
    assert set(states(intake)) == {"ENGAGED"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "ENGAGED"}, "ids"),
        ({"ids": [1]}, "status"),
        ({"ids": [0], "status": "ENGAGED"}, "ids.0"),
        ({"ids": [1] * 10_001, "status": "ENGAGED"}, "ids"),
        ({"ids": [1], "status": "LOST"}, "status"),
        ({"ids": [1], "status": "ENGAGED", "from": "LOST"}, "from"),
        ({"ids": [1], "status": "ENGAGED", "change": "x"}, "change"),
        ({"ids": [1], "status": "ENGAGED", "form": "PENDING"}, "form"),
    ],
)
def test_invalid_bodies_name_the_field(attorney: TestClient, body: dict[str, Any], field: str) -> None:
    answer = attorney.post("/internal/leads/state", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_an_empty_list_of_ids(attorney: TestClient) -> None:
    answer = post(attorney, [], "ENGAGED")
    assert answer.json()["results"] == []
    assert UUID(answer.json()["change"])


def test_a_wrong_method_is_answered_by_the_fixed_path(attorney: TestClient) -> None:
    answer = attorney.options("/internal/leads/state")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
