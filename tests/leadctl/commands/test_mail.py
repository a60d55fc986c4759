"""leadctl mail."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.leadctl.conftest import Client
from tests.system.programs import Service
from tests.system.terminal import Terminal


@pytest.fixture
def failed(client: Client, service: Service) -> list[int]:
    """Two failed mails; the client is logged in as an administrator."""
    client.log_in("harriet")
    lead_id = client.submit()
    mails = json.loads(client.data("mail", "list", "--lead", str(lead_id), "-o", "json"))
    ids = [mail["id"] for mail in mails]
    with sqlite3.connect(Path(service.directory) / "intake.db") as database:
        marks = ",".join("?" * len(ids))
        database.execute(
            f"UPDATE outbox_mail SET state='failed', claim=NULL, last_error='550 no' WHERE id IN ({marks})", ids
        )
        database.execute("DELETE FROM confirmed_mailbox")  # as the failure of a confirmation does
    database.close()
    return ids


def test_list_and_show(client: Client, failed: list[int]) -> None:
    listed = [line.split("\t") for line in client.data("mail", "list", "--state", "failed", "-n", "2").splitlines()]
    assert [int(fields[0]) for fields in listed] == failed
    assert listed[1][2:] == ["confirmation", "ada@example.com", "failed", listed[1][5], "550 no"]
    both = client.data("mail", "list", "--state", "FAILED,Queued", "--columns", "state", "-n", "3").splitlines()
    assert both[:2] == ["failed", "failed"]
    shown = dict(line.split("\t") for line in client.data("mail", "show", str(failed[1])).splitlines())
    assert (shown["id"], shown["state"], shown["sent_at"]) == (str(failed[1]), "failed", shown["sent_at"])
    assert json.loads(client.data("mail", "show", str(failed[1]), "-o", "json"))["last_error"] == "550 no"


def test_suppressed_mails_have_a_reason(client: Client) -> None:
    client.log_in()
    for tag in ("+1", "+2"):
        lead_id = client.submit(email=f"mary{tag}@example.com")
    listed = client.data("mail", "list", "--state", "suppressed", "--lead", str(lead_id))
    assert listed.split("\t")[2:5] == ["confirmation", "mary+2@example.com", "suppressed"]
    why = "suppressed: its mailbox had a confirmation within INTAKE_CONFIRMATION_INTERVAL"
    assert listed.rstrip("\n").endswith(f"\t{why}")
    assert why in client.data("mail", "show", mail_id := listed.partition("\t")[0])
    assert "NEXT ATTEMPT" not in Terminal(client, "mail", "show", mail_id).end()[1]


def test_retry(client: Client, failed: list[int]) -> None:
    one = client.run("mail", "retry", str(failed[0]))
    assert (one.returncode, one.stderr) == (0, f"mail {failed[0]} is queued again\n")
    again = client.run("mail", "retry", str(failed[0]))
    assert (again.returncode, again.stderr) == (
        6,
        f"leadctl: mail {failed[0]} has not failed; leadctl mail show {failed[0]} shows its state and why\n",
    )
    several = client.run("mail", "retry", "-", "999999", typed=str(failed[1]))
    assert several.returncode == 3
    assert several.stderr.splitlines() == ["999999: there is no mail 999999", "leadctl: 1 of 2 mails queued again"]


def test_exit_codes(client: Client) -> None:
    assert client.run("mail", "show", "999999").returncode == 5
    wrong = client.run("mail", "list", "--state", "failed,lost")
    error = "'lost' is not a state of mails; the states are queued, sent, failed, suppressed"
    assert (wrong.returncode, wrong.stderr) == (
        2,
        f"leadctl: invalid value for '--state': {error} (see leadctl mail list --help)\n",
    )
    assert client.run("mail", "retry", "1").returncode == 4, "peter is an attorney"
    assert client.run("mail").returncode == 2
