"""leadctl undo."""

import json
from uuid import uuid4

import httpx2
import pytest

from tests.leadctl.commands.test_set_state import change_of
from tests.leadctl.conftest import PASSWORD, Client


def changed(client: Client, *ids: int) -> str:
    return change_of(client.run("--verbose", "set-state", "ENGAGED", *map(str, ids)))


def test_undo_restores_the_states(client: Client) -> None:
    ids = [client.submit() for _ in range(3)]
    client.data("set-state", "DECLINED", str(ids[2]))
    done = client.run("undo", changed(client, *ids))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "3 of 3 leads restored\n")
    assert [client.state(lead_id) for lead_id in ids] == ["PENDING", "PENDING", "DECLINED"]


def test_leads_changed_since_have_a_line(client: Client) -> None:
    ids = [client.submit() for _ in range(2)]
    change = changed(client, *ids)
    client.data("set-state", "DECLINED", str(ids[0]))
    done = client.run("undo", change)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"{ids[0]}: lead {ids[0]} was changed since and is DECLINED",
        "leadctl: 1 of 2 leads restored to PENDING",
    ]
    one = changed(client, ids[1])
    client.data("set-state", "DECLINED", str(ids[1]))
    done = client.run("undo", one)
    assert (done.returncode, done.stderr) == (3, f"leadctl: lead {ids[1]} was changed since and is DECLINED\n")


def test_a_dry_run_prints_results_and_changes_nothing(client: Client) -> None:
    lead_id = client.submit()
    done = client.run("undo", "--dry-run", changed(client, lead_id))
    assert (done.returncode, done.stdout) == (0, f"{lead_id}\tundone\tPENDING\n")
    assert done.stderr == "1 of 1 leads would be restored to PENDING\n"
    assert client.state(lead_id) == "ENGAGED"


def test_with_o_all_results_are_printed(client: Client) -> None:
    lead_id = client.submit()
    change = changed(client, lead_id)
    done = client.run("undo", change, "-o", "json")
    undone = {"id": lead_id, "result": "undone", "state": "PENDING", "by": None, "at": None}
    assert (done.returncode, json.loads(done.stdout)) == (0, [undone])
    moved = changed(client, lead_id)
    client.data("set-state", "DECLINED", str(lead_id))
    done = client.run("undo", moved, "-o", "json")
    [outcome] = json.loads(done.stdout)
    assert (done.returncode, outcome["result"], outcome["state"], outcome["by"]) == (3, "moved", "DECLINED", "peter")


def test_an_undo_can_be_undone(client: Client) -> None:
    lead_id = client.submit()
    undoing = change_of(client.run("--verbose", "undo", changed(client, lead_id)))
    assert client.state(lead_id) == "PENDING"
    client.data("undo", undoing)
    assert client.state(lead_id) == "ENGAGED"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        *((text, f"{text!r} is too short; use at least 8 characters of a change id") for text in ("42", "6f1a0c1")),
        *((text, f"{text!r} is not a change id; leadctl changes lists them") for text in ("", "6f1a0c1g", "{}")),
    ],
)
def test_an_invalid_change_id_is_a_usage_error(client: Client, text: str, error: str) -> None:
    lead_id = client.submit()
    changed(client, lead_id)
    done = client.run("undo", text)
    assert (done.returncode, done.stderr) == (2, f"leadctl: {error}\n")
    assert client.state(lead_id) == "ENGAGED"


def test_an_unknown_change_is_exit_5(client: Client) -> None:
    for text in (str(uuid4()), str(uuid4())[:8]):
        assert client.run("undo", text).returncode == 5


def test_without_an_id_undo_reverts_the_own_latest_change(client: Client, admin: Client) -> None:
    first, second, third = (client.submit() for _ in range(3))
    changed(client, first)
    mine = changed(client, second)
    client.run("set-state", "ENGAGED", "999999")
    changed(admin, third)
    done = client.run("undo")
    assert (done.returncode, done.stderr) == (0, "1 of 1 leads restored to PENDING\n")
    for arguments in ([], [], [mine], [mine[:8]]):
        again = client.run("undo", *arguments)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", f"change {mine} is already undone\n")
    assert [client.state(lead_id) for lead_id in (first, second, third)] == ["ENGAGED", "PENDING", "ENGAGED"]


def test_nothing_to_undo(admin: Client) -> None:
    admin.data("register-user", "mervyn", "--password-stdin", typed=PASSWORD)
    admin.log_in("mervyn")
    done = admin.run("undo")
    assert (done.returncode, done.stderr) == (5, "leadctl: you have made no change to undo\n")


def test_undone_leads_are_counted_apart_from_changed_ones(client: Client) -> None:
    ids = [client.submit() for _ in range(2)]
    change = changed(client, *ids)
    client.data("set-state", "DECLINED", str(ids[0]))
    client.run("undo", change)
    done = client.run("undo", change)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "leadctl: 0 of 2 leads restored; 1 were already undone"


def test_undoing_another_users_change_requires_others(client: Client, admin: Client) -> None:
    lead_id = client.submit()
    change = changed(admin, lead_id)
    done = client.run("undo", change)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr == (
        f"leadctl: change {change} was made by another user (to ENGAGED, 1 lead, by harriet, now);"
        " use --others to undo it\n"
    )
    assert client.state(lead_id) == "ENGAGED"
    assert client.run("undo", "--dry-run", change).returncode == 0
    assert client.run("undo", "--others", change[:8]).returncode == 0
    assert client.state(lead_id) == "PENDING"
    again = client.run("undo", change)
    assert (again.returncode, again.stderr) == (0, f"change {change} is already undone\n")


def test_an_ambiguous_short_id_lists_its_candidates(client: Client) -> None:
    lead_id = client.submit()
    ids = [f"{uuid4().hex[:8]}-{part}-4d0e-9a52-1f6f3c1d2b7a" for part in ("0000", "ffff")]
    ids[1] = ids[0][:8] + ids[1][8:]
    for change, state in zip(ids, ("ENGAGED", "DECLINED"), strict=True):
        body = {"ids": [lead_id], "status": state, "change": change}
        headers = {"Authorization": f"Bearer {client.token()}"}
        assert httpx2.post(f"{client.url}/internal/leads/state", json=body, headers=headers).status_code == 200
    done = client.run("undo", ids[0][:8])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{ids[1]}: to DECLINED, 1 lead, by peter, now",
        f"{ids[0]}: to ENGAGED, 1 lead, by peter, now",
        f"leadctl: {ids[0][:8]} matches 2 change ids; use more characters",
    ]
    assert client.state(lead_id) == "DECLINED"
    client.data("undo", ids[1][:10])
    assert client.state(lead_id) == "ENGAGED"
