"""leadctl changes."""

import json

from tests.leadctl.commands.test_set_state import change_of
from tests.leadctl.commands.test_undo import changed
from tests.leadctl.conftest import Client


def test_a_change_and_its_undo_refer_to_each_other(client: Client) -> None:
    change = changed(client, client.submit(), client.submit())
    undoing = change_of(client.run("--verbose", "undo", change))
    lines = [line.split("\t") for line in client.data("changes", "-n", "2").splitlines()]
    assert [[line[0], *line[2:]] for line in lines] == [
        [undoing, "peter", "", "", "2", change, ""],
        [change, "peter", "", "ENGAGED", "2", "", undoing],
    ]


def test_tables_show_short_ids(client: Client) -> None:
    change = changed(client, client.submit())
    undoing = change_of(client.run("--verbose", "undo", change[:8]))
    head, first, second = client.data("changes", "-n", "2", "-o", "table").splitlines()
    assert (first.split()[0], second.split()[0]) == (undoing[:8], change[:8])
    assert f"undo of {change[:8]}" in first
    assert second.split()[-1] == undoing[:8]
    assert change not in head + first + second
    assert change in client.data("changes", "-n", "2", "-o", "csv")


def test_mine_lists_only_own_changes(client: Client, admin: Client) -> None:
    mine = changed(client, client.submit())
    theirs = changed(admin, client.submit())
    assert client.data("changes", "-n", "1", "-o", "ids") == f"{theirs}\n"
    assert client.data("changes", "--mine", "-n", "1", "-o", "ids") == f"{mine}\n"


def test_a_change_without_effect_is_not_listed(client: Client) -> None:
    before = client.data("changes", "-o", "ids")
    done = client.run("--verbose", "set-state", "ENGAGED", "999999")
    assert (done.returncode, "undo" in done.stderr) == (5, False)
    lead_id = client.submit()
    done = client.run("--verbose", "set-state", "PENDING", str(lead_id))
    assert (done.returncode, done.stderr) == (0, f"lead {lead_id} is already PENDING\n")
    assert client.data("changes", "-o", "ids") == before


def test_json_is_the_apis_own(client: Client) -> None:
    change = changed(client, client.submit())
    [found] = json.loads(client.data("changes", "-n", "1", "-o", "json"))
    assert found.pop("at")
    expected = {"id": change, "user": "peter", "from": None, "to": "ENGAGED", "count": 1, "undoes": None}
    assert found == {**expected, "undone_by": []}
