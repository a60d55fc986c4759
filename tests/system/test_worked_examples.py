"""The worked examples of the README and of docs/leadctl.md, run as they are."""

import csv
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.intake.workers.test_mail import wait_for
from tests.leadctl.commands.test_bulk import deployed
from tests.leadctl.conftest import Client, anonymous, client, logged_in, service, worker
from tests.system.programs import BIN, Service
from tests.system.terminal import Terminal

__all__ = ["anonymous", "client", "deployed", "logged_in", "service", "worker"]

ROOT = Path(__file__).parents[2]
PAGES = "".join((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/leadctl.md"))
LEADS = 5_000
STATES = ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED")


def example(begins: str) -> str:
    """Return the code block that begins with this text."""
    found = re.search(rf"^```(?:bash)?\n({re.escape(begins)}.*?)^```$", PAGES, re.MULTILINE | re.DOTALL)
    assert found, begins
    return found[1]


def bulk_change(client: Client) -> subprocess.CompletedProcess[str]:
    """Run the script of docs/leadctl.md."""
    environment = {**client.environment, "PATH": f"{BIN}:{client.environment['PATH']}"}
    command = ["bash", "-c", example("set -euo pipefail")]
    return subprocess.run(command, env=environment, cwd=client.home, capture_output=True, text=True, timeout=120)


def exported(client: Client) -> list[str]:
    with (client.home / "reached-out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["state"] for row in rows} <= {"REACHED_OUT"}
    return [row["id"] for row in rows]


@pytest.mark.parametrize("deployed", [LEADS], indirect=True)
def test_a_bulk_change_from_beginning_to_end(deployed: tuple[Service, Client]) -> None:
    _, client = deployed
    done = bulk_change(client)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(LEADS), "changed"]
    assert done.stderr.splitlines() == [
        f"{LEADS} of {LEADS} leads would be changed to REACHED_OUT",
        "2500 of 2500 leads changed to REACHED_OUT",
        "2500 of 2500 leads changed to REACHED_OUT",
        "2500 of 2500 leads restored to PENDING",
    ]
    assert exported(client) == [str(number) for number in range(1, LEADS // 2 + 1)]


def set_states(home: Path, pending: int) -> None:
    """Make this number of leads pending, and distribute the others, except lead 299, over the other states."""
    other = "CASE id % 3 WHEN 0 THEN 'REACHED_OUT' WHEN 1 THEN 'ENGAGED' ELSE 'DECLINED' END"
    state = f"CASE WHEN id % 4 = 0 AND id <= 4 * ? THEN 'PENDING' ELSE {other} END"
    with closing(sqlite3.connect(home / "intake.db")) as connection, connection:
        connection.execute(f"UPDATE lead SET state = {state} WHERE id <> 299", [pending])


def by_state(home: Path) -> dict[str, set[int]]:
    with closing(sqlite3.connect(home / "intake.db")) as connection:
        rows = connection.execute("SELECT state, id FROM lead").fetchall()
    return {state: {number for name, number in rows if name == state} for state in STATES}


@pytest.mark.parametrize("deployed", [300], indirect=True)
def test_a_bulk_change_among_leads_in_all_states(deployed: tuple[Service, Client]) -> None:
    _, client = deployed
    client.data("set-state", "ENGAGED", "299")  # an earlier change, which the script must not undo
    for pending in (75, 1, 0):
        set_states(client.home, pending)
        before = by_state(client.home)
        assert len(before["PENDING"]) == pending
        done = bulk_change(client)
        assert done.returncode == 0, done.stderr
        first = set(sorted(before["PENDING"])[: (pending + 1) // 2])
        reached = before["REACHED_OUT"] | first
        assert by_state(client.home) == {**before, "PENDING": before["PENDING"] - first, "REACHED_OUT": reached}
        assert exported(client) == [str(number) for number in sorted(reached)]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_an_attorneys_morning(client: Client, columns: int) -> None:
    lead_id = client.submit(f_name="Grace", l_name="Hopper", cv=b"a CV", cv_name="cv.txt")
    wait_for(lambda: client.run("cv-text", str(lead_id)).returncode == 0)
    shown = {}
    for line in example("leadctl stats").splitlines():
        _, *arguments = line.replace("42", str(lead_id)).split()
        code, screen = Terminal(client, *arguments, columns=columns).end()
        assert code == 0, screen
        shown[arguments[0]] = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    assert "PENDING" in shown["stats"]
    assert str(lead_id) in shown["list"]
    assert "Hopper" in shown["show"]
    assert (client.home / f"{lead_id}-cv.txt").read_bytes() == b"a CV"
    assert "REACHED_OUT" in shown["set-state"]
    assert "REACHED_OUT" in shown["history"]
    assert max(map(len, shown["list"].splitlines())) <= columns
