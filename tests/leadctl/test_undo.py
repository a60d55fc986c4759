"""leadctl undo."""

import re
from uuid import uuid4

from tests.leadctl.conftest import Office
from tests.leadctl.test_set_state import change_of


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


def test_an_undo_is_undone(office: Office) -> None:
    lead_id = office.submit()
    undoing = change_of(office.run("--verbose", "undo", changed(office, lead_id)))
    assert office.state(lead_id) == "PENDING"
    office.data("undo", undoing)
    assert office.state(lead_id) == "ENGAGED"


def test_what_is_no_change(office: Office) -> None:
    assert office.run("undo", str(uuid4())).returncode == 5
    done = office.run("undo", "42")
    assert done.returncode == 2
    assert re.search("not a valid UUID", done.stderr, re.IGNORECASE)
