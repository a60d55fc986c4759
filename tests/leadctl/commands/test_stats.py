"""leadctl stats."""

import json

from tests.leadctl.conftest import Client


def test_a_pipe_gets_a_name_and_a_number_on_each_line(client: Client) -> None:
    client.submit()
    lines = dict(line.split("\t") for line in client.data("stats").splitlines())
    assert list(lines)[:6] == [
        "total",
        "suspect",
        "state.PENDING",
        "state.REACHED_OUT",
        "state.ENGAGED",
        "state.DECLINED",
    ]
    assert sum(name.startswith("day.") for name in lines) == 30
    assert list(lines)[-4:] == ["oldest_waiting.id", "oldest_waiting.created_at", "mails.queued", "mails.failed"]
    assert int(lines["total"]) == len(client.data("list", "-o", "ids").split())
    assert (
        lines["oldest_waiting.id"] == client.data("list", "--state", "PENDING", "--sort", "id", "-o", "ids").split()[0]
    )


def test_json_is_the_apis(client: Client) -> None:
    client.submit()
    stats = json.loads(client.data("stats", "-o", "json"))
    assert list(stats) == ["total", "suspect", "states", "days", "oldest_waiting", "mails", "state_keys"]
    assert sum(stats["states"].values()) == stats["total"]


def test_table_output_has_bars(client: Client) -> None:
    lead_id = client.submit()
    client.data("set-state", "DECLINED", str(lead_id))
    shown = client.run("stats", "-o", "table", COLUMNS="60").stdout
    for text in ("Leads", "PENDING", "DECLINED", "█", "Received", "Oldest pending", "Mail"):
        assert text in shown
    assert max(map(len, shown.splitlines())) <= 60
