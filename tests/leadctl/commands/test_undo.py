"""leadctl undo."""

import json
from uuid import uuid4

import httpx2
import pytest

from tests.leadctl.commands.test_set_state import change_of
from tests.leadctl.conftest import PASSWORD, Office


def changed(office: Office, *ids: int) -> str:
    return change_of(office.run("--verbose", "set-state", "ENGAGED", *map(str, ids)))


def test_leads_are_back_where_they_were(office: Office) -> None:
    ids = [office.submit() for _ in range(3)]
    office.data("set-state", "DECLINED", str(ids[2]))
    done = office.run("undo", changed(office, *ids))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "3 of 3 leads are back where they were\n")
    assert [office.state(lead_id) for lead_id in ids] == ["PENDING", "PENDING", "DECLINED"]


def test_what_was_moved_since_has_a_line(office: Office) -> None:
    ids = [office.submit() for _ in range(2)]
    change = changed(office, *ids)
    office.data("set-state", "DECLINED", str(ids[0]))
    done = office.run("undo", change)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"{ids[0]}: lead {ids[0]} was moved since, and is DECLINED",
        "leadctl: 1 of 2 leads are back where they were",
    ]


def test_a_dry_run_shows_what_would_happen(office: Office) -> None:
    lead_id = office.submit()
    done = office.run("undo", "--dry-run", changed(office, lead_id))
    assert (done.returncode, done.stdout) == (0, f"{lead_id}\tundone\tPENDING\n")
    assert done.stderr == "1 of 1 leads would be back where they were\n"
    assert office.state(lead_id) == "ENGAGED"


def test_with_o_the_results_are_printed_whatever_came_of_them(office: Office) -> None:
    lead_id = office.submit()
    change = changed(office, lead_id)
    done = office.run("undo", change, "-o", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [{"id": lead_id, "result": "undone", "state": "PENDING"}])
    moved = changed(office, lead_id)
    office.data("set-state", "DECLINED", str(lead_id))
    done = office.run("undo", moved, "-o", "json")
    assert (done.returncode, json.loads(done.stdout)) == (3, [{"id": lead_id, "result": "moved", "state": "DECLINED"}])


def test_an_undo_is_undone(office: Office) -> None:
    lead_id = office.submit()
    undoing = change_of(office.run("--verbose", "undo", changed(office, lead_id)))
    assert office.state(lead_id) == "PENDING"
    office.data("undo", undoing)
    assert office.state(lead_id) == "ENGAGED"


@pytest.mark.parametrize("text", ["42", "", "6f1a0c1", "6f1a0c1g", "{}"])
def test_what_is_not_a_change_id_is_usage_and_never_means_the_latest_change(office: Office, text: str) -> None:
    lead_id = office.submit()
    changed(office, lead_id)
    done = office.run("undo", text)
    assert (done.returncode, "is not a change id" in done.stderr) == (2, True)
    assert office.state(lead_id) == "ENGAGED"


def test_an_unknown_change_is_exit_5(office: Office) -> None:
    for text in (str(uuid4()), str(uuid4())[:8]):
        assert office.run("undo", text).returncode == 5


def test_without_an_id_it_undoes_ones_own_latest_change_and_never_an_earlier_one(office: Office, admin: Office) -> None:
    first, second, third = (office.submit() for _ in range(3))
    changed(office, first)
    mine = changed(office, second)
    office.run("set-state", "ENGAGED", "999999")
    changed(admin, third)
    done = office.run("undo")
    assert (done.returncode, done.stderr) == (0, "1 of 1 leads are back where they were\n")
    for arguments in ([], [], [mine], [mine[:8]]):
        again = office.run("undo", *arguments)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", f"change {mine} is already undone\n")
    assert [office.state(lead_id) for lead_id in (first, second, third)] == ["ENGAGED", "PENDING", "ENGAGED"]


def test_nothing_to_undo(admin: Office) -> None:
    admin.data("register-user", "mervyn", "--password-stdin", typed=PASSWORD)
    admin.log_in("mervyn")
    done = admin.run("undo")
    assert (done.returncode, done.stderr) == (5, "leadctl: you have made no change that moved leads\n")


def test_what_was_undone_before_is_told_apart_from_what_was_moved_since(office: Office) -> None:
    ids = [office.submit() for _ in range(2)]
    change = changed(office, *ids)
    office.data("set-state", "DECLINED", str(ids[0]))
    office.run("undo", change)
    done = office.run("undo", change)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "leadctl: 0 of 2 leads are back where they were; 1 were already undone"


def test_another_users_change_needs_others(office: Office, admin: Office) -> None:
    lead_id = office.submit()
    change = changed(admin, lead_id)
    done = office.run("undo", change)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == (
        f"leadctl: change {change} was made by another user (to ENGAGED, 1 lead, by harriet, now);"
        " give --others to undo it\n"
    )
    assert office.state(lead_id) == "ENGAGED"
    assert office.run("undo", "--dry-run", change).returncode == 0
    assert office.run("undo", "--others", change[:8]).returncode == 0
    assert office.state(lead_id) == "PENDING"


def test_an_ambiguous_short_id_lists_its_candidates(office: Office) -> None:
    lead_id = office.submit()
    ids = [f"{uuid4().hex[:8]}-{part}-4d0e-9a52-1f6f3c1d2b7a" for part in ("0000", "ffff")]
    ids[1] = ids[0][:8] + ids[1][8:]
    for change, state in zip(ids, ("ENGAGED", "DECLINED"), strict=True):
        body = {"ids": [lead_id], "status": state, "change": change}
        headers = {"Authorization": f"Bearer {office.token()}"}
        assert httpx2.post(f"{office.url}/internal/leads/state", json=body, headers=headers).status_code == 200
    done = office.run("undo", ids[0][:8])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{ids[1]}: to DECLINED, 1 lead, by peter, now",
        f"{ids[0]}: to ENGAGED, 1 lead, by peter, now",
        f"leadctl: {ids[0][:8]} is the beginning of 2 change ids; give more of it",
    ]
    assert office.state(lead_id) == "DECLINED"
    office.data("undo", ids[1][:10])
    assert office.state(lead_id) == "ENGAGED"
