"""The worked examples of the README and of docs/leadctl.md, run as they are."""

import csv
import re
import subprocess
from pathlib import Path

import pytest

from tests.leadctl.commands.test_bulk import deployed
from tests.leadctl.conftest import Client
from tests.system.programs import BIN, Service
from tests.system.terminal import Terminal

__all__ = ["deployed"]

ROOT = Path(__file__).parents[2]
PAGES = "".join((ROOT / name).read_text("utf-8") for name in ("README.md", "docs/leadctl.md"))
LEADS = 5_000


def example(begins: str) -> str:
    """Return the code block that begins with this text."""
    found = re.search(rf"^```(?:bash)?\n({re.escape(begins)}.*?)^```$", PAGES, re.MULTILINE | re.DOTALL)
    assert found, begins
    return found[1]


@pytest.mark.parametrize("deployed", [LEADS], indirect=True)
def test_a_bulk_change_from_beginning_to_end(deployed: tuple[Service, Client]) -> None:
    _, client = deployed
    environment = {**client.environment, "PATH": f"{BIN}:{client.environment['PATH']}"}
    script = example("set -euo pipefail")
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=client.home, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(LEADS), "changed"]
    assert done.stderr.splitlines() == [
        f"{LEADS} of {LEADS} leads would be changed to REACHED_OUT",
        "2500 of 2500 leads changed to REACHED_OUT",
        "2500 of 2500 leads changed to REACHED_OUT",
        "2500 of 2500 leads restored",
    ]
    with (client.home / "reached-out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == (client.home / "part-aa").read_text().split()
    assert {row["state"] for row in rows} == {"REACHED_OUT"}


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("deployed", [3], indirect=True)
def test_an_attorneys_morning(deployed: tuple[Service, Client], columns: int) -> None:
    _, client = deployed
    lead_id = client.submit(f_name="Grace", l_name="Hopper")
    shown = {}
    for line in example("leadctl stats").splitlines():
        _, *arguments = line.replace("42", str(lead_id)).split()
        code, screen = Terminal(client, *arguments, columns=columns).end()
        assert code == 0, screen
        shown[arguments[0]] = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    assert "PENDING" in shown["stats"]
    assert str(lead_id) in shown["list"]
    assert "Hopper" in shown["show"]
    assert (client.home / f"{lead_id}-cv.pdf").read_bytes() == b"%PDF-1.4 a CV"
    assert "REACHED_OUT" in shown["set-state"]
    assert "REACHED_OUT" in shown["history"]
    assert max(map(len, shown["list"].splitlines())) <= columns
