"""leadctl show of several leads."""

import csv
import io
import json

import pytest

from tests.leadctl.conftest import Client
from tests.system.terminal import Terminal, lines


@pytest.mark.parametrize("is_piped", [False, True])
def test_several_leads_are_an_array_or_rows(client: Client, is_piped: bool) -> None:
    ids = [str(client.submit(f_name=name)) for name in ("Ada", "Bea")]

    def shown(output: str) -> str:
        given, typed = (["-"], " ".join(ids)) if is_piped else (ids, "")
        return client.data("show", *given, "-o", output, typed=typed)

    both = json.loads(shown("json"))
    assert both == [json.loads(client.data("show", lead_id, "-o", "json")) for lead_id in ids]
    assert [json.loads(line) for line in shown("ndjson").splitlines()] == both
    assert [row["f_name"] for row in csv.DictReader(io.StringIO(shown("csv")))] == ["Ada", "Bea"]
    assert shown("ids").split() == ids
    assert [line.split("\t")[:3:2] for line in shown("plain").splitlines()] == [[ids[0], "Ada"], [ids[1], "Bea"]]


def test_a_missing_lead_is_a_partial_failure(client: Client) -> None:
    lead_id = client.submit()
    done = client.run("show", "999999", str(lead_id), "-o", "json")
    assert (done.returncode, [lead["id"] for lead in json.loads(done.stdout)]) == (3, [lead_id])
    assert done.stderr == "999999: there is no lead 999999\nleadctl: 1 of 2 leads shown\n"
    assert client.run("show", "999999").returncode == 5


def test_one_id_from_a_pipe_is_an_array(client: Client) -> None:
    lead_id = client.submit()
    assert [lead["id"] for lead in json.loads(client.data("show", "-", "-o", "json", typed=f"{lead_id}\n"))] == [
        lead_id
    ]


def test_a_terminal_shows_several_leads_apart(client: Client) -> None:
    ids = [str(client.submit(f_name=name)) for name in ("Ada", "Bea")]
    code, screen = Terminal(client, "show", *ids).end()
    assert "PDF document" in screen
    assert "application/pdf" in Terminal(client, "--verbose", "show", ids[0]).end()[1]
    assert (code, lines(screen).count("")) == (0, 1)
    assert "Ada" in screen.partition("\n\n")[0]
    assert "Bea" in screen.partition("\n\n")[2]
