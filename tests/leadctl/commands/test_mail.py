"""leadctl mail."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.leadctl.conftest import Office
from tests.system.programs import Service


@pytest.fixture
def dead(office: Office, service: Service) -> list[int]:
    """Two mails that were given up; the office is an administrator's."""
    office.log_in("harriet")
    lead_id = office.submit()
    mails = json.loads(office.data("mail", "list", "--lead", str(lead_id), "-o", "json"))
    ids = [mail["id"] for mail in mails]
    with sqlite3.connect(Path(service.directory) / "intake.db") as database:
        marks = ",".join("?" * len(ids))
        database.execute(
            f"UPDATE outbox_mail SET state='failed', claim=NULL, last_error='550 no' WHERE id IN ({marks})", ids
        )
    database.close()
    return ids


def test_list_and_show(office: Office, dead: list[int]) -> None:
    listed = [line.split("\t") for line in office.data("mail", "list", "--state", "failed", "-n", "2").splitlines()]
    assert [int(fields[0]) for fields in listed] == dead
    assert office.data("mail", "list", "--state", "dead", "-n", "2", "-o", "ids").split() == [str(one) for one in dead]
    assert listed[1][2:] == ["confirmation", "ada@example.com", "failed", listed[1][5], "550 no"]
    shown = dict(line.split("\t") for line in office.data("mail", "show", str(dead[1])).splitlines())
    assert (shown["id"], shown["state"], shown["sent_at"]) == (str(dead[1]), "failed", shown["sent_at"])
    assert json.loads(office.data("mail", "show", str(dead[1]), "-o", "json"))["last_error"] == "550 no"


def test_why_a_mail_was_not_sent(office: Office) -> None:
    office.log_in()
    for tag in ("+1", "+2"):
        lead_id = office.submit(email=f"mary{tag}@example.com")
    listed = office.data("mail", "list", "--state", "suppressed", "--lead", str(lead_id))
    assert listed.split("\t")[2:5] == ["confirmation", "mary+2@example.com", "suppressed"]
    why = "suppressed: its mailbox had a confirmation within INTAKE_CONFIRMATION_INTERVAL"
    assert listed.rstrip("\n").endswith(f"\t{why}")
    assert why in office.data("mail", "show", listed.partition("\t")[0])


def test_retry(office: Office, dead: list[int]) -> None:
    one = office.run("mail", "retry", str(dead[0]))
    assert (one.returncode, one.stderr) == (0, f"mail {dead[0]} is queued again\n")
    again = office.run("mail", "retry", str(dead[0]))
    assert (again.returncode, again.stderr) == (6, f"leadctl: mail {dead[0]} has not failed\n")
    several = office.run("mail", "retry", "-", "999999", typed=str(dead[1]))
    assert several.returncode == 3
    assert several.stderr.splitlines() == ["999999: there is no mail 999999", "leadctl: 1 of 2 mails are queued again"]


def test_exit_codes(office: Office) -> None:
    assert office.run("mail", "show", "999999").returncode == 5
    assert office.run("mail", "list", "--state", "lost").returncode == 2
    assert office.run("mail", "retry", "1").returncode == 4, "peter is an attorney"
    assert office.run("mail").returncode == 2
