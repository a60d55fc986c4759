"""leadctl changes."""

import json

from tests.leadctl.commands.test_set_state import change_of
from tests.leadctl.commands.test_undo import changed
from tests.leadctl.conftest import Office


def test_a_change_and_its_undo_name_each_other(office: Office) -> None:
    change = changed(office, office.submit(), office.submit())
    undoing = change_of(office.run("--verbose", "undo", change))
    lines = [line.split("\t") for line in office.data("changes", "-n", "2").splitlines()]
    assert [[line[0], *line[2:]] for line in lines] == [
        [undoing, "peter", "", "", "2", change, ""],
        [change, "peter", "", "ENGAGED", "2", "", undoing],
    ]


def test_tables_show_short_ids(office: Office) -> None:
    change = changed(office, office.submit())
    undoing = change_of(office.run("--verbose", "undo", change[:8]))
    head, first, second = office.data("changes", "-n", "2", "-o", "table").splitlines()
    assert (first.split()[0], second.split()[0]) == (undoing[:8], change[:8])
    assert f"undo of {change[:8]}" in first
    assert second.split()[-1] == undoing[:8]
    assert change not in head + first + second
    assert change in office.data("changes", "-n", "2", "-o", "csv")


def test_ones_own_alone(office: Office, admin: Office) -> None:
    mine = changed(office, office.submit())
    theirs = changed(admin, office.submit())
    assert office.data("changes", "-n", "1", "-o", "ids") == f"{theirs}\n"
    assert office.data("changes", "--mine", "-n", "1", "-o", "ids") == f"{mine}\n"


def test_one_that_moved_nothing_is_neither_listed_nor_announced(office: Office) -> None:
    before = office.data("changes", "-o", "ids")
    done = office.run("--verbose", "set-state", "ENGAGED", "999999")
    assert (done.returncode, "undo" in done.stderr) == (5, False)
    lead_id = office.submit()
    done = office.run("--verbose", "set-state", "PENDING", str(lead_id))
    assert (done.returncode, done.stderr) == (0, f"lead {lead_id} is PENDING\n")
    assert office.data("changes", "-o", "ids") == before


def test_json_is_the_apis_own(office: Office) -> None:
    change = changed(office, office.submit())
    [found] = json.loads(office.data("changes", "-n", "1", "-o", "json"))
    assert found.pop("at")
    expected = {"id": change, "user": "peter", "from": None, "to": "ENGAGED", "count": 1, "undoes": None}
    assert found == {**expected, "undone_by": []}
