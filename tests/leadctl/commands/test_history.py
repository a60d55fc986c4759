"""leadctl history."""

from tests.leadctl.commands.test_set_state import change_of
from tests.leadctl.commands.test_undo import changed
from tests.leadctl.conftest import Office


def test_who_moved_a_lead_and_from_where(office: Office) -> None:
    lead_id = office.submit()
    change = changed(office, lead_id)
    office.data("set-state", "DECLINED", str(lead_id))
    lines = [line.split("\t") for line in office.data("history", str(lead_id)).splitlines()]
    assert [line[1:4] for line in lines] == [["peter", "PENDING", "ENGAGED"], ["peter", "ENGAGED", "DECLINED"]]
    assert lines[0][4] == change


def test_undos_are_marked(office: Office) -> None:
    lead_id = office.submit()
    change = changed(office, lead_id)
    undoing = change_of(office.run("--verbose", "undo", change))
    lines = [line.split("\t") for line in office.data("history", str(lead_id)).splitlines()]
    assert [line[4:] for line in lines] == [[change, ""], [undoing, change]]
    head, _, last = office.data("history", str(lead_id), "-o", "table").splitlines()
    assert head.split()[-2:] == ["change", "undoes"]
    assert last.split()[-2:] == [undoing[:8], change[:8]]


def test_a_lead_that_nobody_moved_has_none(office: Office) -> None:
    assert office.data("history", str(office.submit())) == ""


def test_who_created_a_lead_by_hand(office: Office) -> None:
    (office.home / "cv.pdf").write_bytes(b"%PDF-1.4 a CV")
    person = ("--email", "ada@example.com", "--f-name", "Ada", "--l-name", "Lovelace")
    lead_id = office.data("submit", *person, "--state", "ENGAGED", "cv.pdf").strip()
    office.data("set-state", "DECLINED", lead_id)
    lines = [line.split("\t") for line in office.data("history", lead_id).splitlines()]
    assert [line[1:4] for line in lines] == [["peter", "", "ENGAGED"], ["peter", "ENGAGED", "DECLINED"]]
    assert "null" in office.data("history", lead_id, "-o", "ndjson").splitlines()[0]
    assert "peter" in office.data("history", lead_id, "-o", "table")


def test_what_is_no_lead(office: Office) -> None:
    assert office.run("history", "999999").returncode == 5
    assert office.run("history", "x").returncode == 2
    assert office.run("history", "1", "-o", "ids").returncode == 2
