"""leadctl history."""

from tests.leadctl.commands.test_set_state import change_of
from tests.leadctl.commands.test_undo import changed
from tests.leadctl.conftest import Client


def test_history_lists_state_changes(client: Client) -> None:
    lead_id = client.submit()
    change = changed(client, lead_id)
    client.data("set-state", "DECLINED", str(lead_id))
    lines = [line.split("\t") for line in client.data("history", str(lead_id)).splitlines()]
    assert [line[1:4] for line in lines] == [["peter", "PENDING", "ENGAGED"], ["peter", "ENGAGED", "DECLINED"]]
    assert lines[0][4] == change


def test_undos_are_marked(client: Client) -> None:
    lead_id = client.submit()
    change = changed(client, lead_id)
    undoing = change_of(client.run("--verbose", "undo", change))
    lines = [line.split("\t") for line in client.data("history", str(lead_id)).splitlines()]
    assert [line[4:] for line in lines] == [[change, ""], [undoing, change]]
    head, _, last = client.data("history", str(lead_id), "-o", "table").splitlines()
    assert head.split()[-2:] == ["change", "undoes"]
    assert last.split()[-2:] == [undoing[:8], change[:8]]


def test_a_new_lead_has_no_history(client: Client) -> None:
    assert client.data("history", str(client.submit())) == ""


def test_history_begins_with_the_attorney_who_entered_the_lead(client: Client) -> None:
    (client.home / "cv.pdf").write_bytes(b"%PDF-1.4 a CV")
    person = ("--email", "ada@example.com", "--f-name", "Ada", "--l-name", "Lovelace")
    lead_id = client.data("submit", *person, "--state", "ENGAGED", "cv.pdf").strip()
    client.data("set-state", "DECLINED", lead_id)
    lines = [line.split("\t") for line in client.data("history", lead_id).splitlines()]
    assert [line[1:4] for line in lines] == [["peter", "", "ENGAGED"], ["peter", "ENGAGED", "DECLINED"]]
    assert "null" in client.data("history", lead_id, "-o", "ndjson").splitlines()[0]
    assert "peter" in client.data("history", lead_id, "-o", "table")


def test_invalid_leads_and_formats(client: Client) -> None:
    assert client.run("history", "999999").returncode == 5
    assert client.run("history", "x").returncode == 2
    assert client.run("history", "1", "-o", "ids").returncode == 2
