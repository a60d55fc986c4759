"""leadctl search, in a pipe and at a terminal."""

import csv
import io
import json
import subprocess

import pytest

from tests.leadctl.conftest import Client
from tests.system.programs import LEADCTL
from tests.system.terminal import Terminal, lines


@pytest.fixture
def ids(client: Client) -> list[int]:
    return [
        client.submit(f_name="Zacharias", l_name=f"Árpád{n}", email=f"z{n}@long-domain-name.example.com")
        for n in range(3)
    ]


def newest(found: str) -> list[int]:
    return [int(line) for line in found.split()][:3]


def test_a_pipe_gets_all_results_in_every_format(client: Client, ids: list[int]) -> None:
    assert newest(client.data("search", "zacharias", "arpad", "-o", "ids")) == ids[::-1]
    assert client.data("search", "zacharias", "arpad1", "--sort", "id", "-n", "1", "-o", "ids").count("\n") == 1
    fields = client.data("search", "zacharias").splitlines()[0].split("\t")
    assert (fields[0], fields[2], fields[-1]) == (str(ids[2]), "Zacharias", "Zacharias")
    [found] = json.loads(client.data("search", "zacharias", "-o", "json", "-n", "1"))
    assert found["matches"] == [{"field": "f_name", "text": "Zacharias", "highlights": [[0, 9]], "page": None}]
    rows = list(csv.DictReader(io.StringIO(client.data("search", "arpad", "-n", "1", "-o", "csv"))))
    assert rows[0]["found"] == "Árpád2"


def test_filters_of_lists_are_accepted(client: Client, ids: list[int]) -> None:
    def found(*more: str) -> list[int]:
        return newest(client.data("search", "zachar", "-o", "ids", *more))

    client.data("set-state", "ENGAGED", str(ids[1]))
    assert found("--state", "engaged")[0] == ids[1]
    assert found("--email", "z2@*")[0] == ids[2]
    assert found("--l-name", "árpád0", "--since", "1h")[0] == ids[0]
    assert found("--until", "2020-01-01") == []
    assert client.data("search", "zachar", "absentword", "-o", "ids") == ""


def test_all_pages_are_fetched(client: Client, ids: list[int]) -> None:
    script = "from leadctl.commands import search; search.PAGE = 1; from leadctl.cli import main; main()"
    done = subprocess.run(
        [LEADCTL.replace("leadctl", "python"), "-c", script, "search", "zacharias", "-o", "ids", "-n", "3"],
        capture_output=True,
        text=True,
        env=client.environment,
        check=True,
    )
    assert newest(done.stdout) == ids[::-1]


@pytest.mark.parametrize("words", [["-"], [str(n) for n in range(17)]])
def test_words_that_can_not_be_searched_are_refused(client: Client, words: list[str]) -> None:
    done = client.run("search", "--", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "q: must" in done.stderr


@pytest.mark.parametrize("columns", [200, 60, 40])
def test_a_terminal_shows_lines_cut_between_words(client: Client, ids: list[int], columns: int) -> None:
    code, screen = Terminal(client, "search", "zacharias", "-n", "2", "--no-pager", columns=columns).end()
    assert code == 0
    shown = lines(screen)
    assert max(map(len, shown)) <= columns
    assert shown[0].startswith(f"{ids[2]}  Zacharias")
    assert "z2@long-domain-name.example.com" in " ".join(shown).split()
    assert shown[-1].startswith("newest 2 of ")
    assert "use -n for more" in shown[-1]


def test_no_match_has_a_message(client: Client) -> None:
    assert lines(Terminal(client, "search", "absentword").end()[1]) == ["No leads match"]


def test_found_words_are_marked(client: Client, ids: list[int]) -> None:
    client.environment.pop("NO_COLOR", None)
    client.environment["TERM"] = "xterm-256color"
    _, screen = Terminal(client, "search", "arpad2", "-n", "1", "--no-pager").end()
    assert "\x1b[1;33mÁrpád2\x1b[0m" in screen
