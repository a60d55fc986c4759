"""leadctl search, in a pipe and at a terminal."""

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from tests.intake.workers.test_mail import wait_for
from tests.leadctl.conftest import PASSWORD, Client
from tests.system.programs import INTAKE, LEADCTL, Service, clean_environment
from tests.system.terminal import Terminal, lines

CV = """Curriculum vitae

Managed the naturalization of employees in the long distance transport business, and wrote petitions for visas
\x1b[0m References on request\u202e
"""


@pytest.fixture
def ids(client: Client, worker: None) -> list[int]:
    found = [
        client.submit(
            cv=CV.encode(),
            cv_name="cv.txt",
            f_name="Zacharias",
            l_name=f"Árpád{n}",
            email=f"z{n}@long-domain-name.example.com",
        )
        for n in range(3)
    ]
    for lead_id in found:
        wait_for(lambda: client.run("cv-text", str(lead_id)).returncode == 0)  # noqa: B023 - called in this iteration
    return found


def shown(client: Client, *arguments: str, columns: int = 80) -> list[str]:
    """Return the lines on a terminal, without the number of other tests' CVs that are not indexed yet."""
    code, screen = Terminal(client, "search", *arguments, "--no-pager", columns=columns).end()
    assert code == 0
    return [line for line in lines(screen) if not line.endswith("not indexed yet")]


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


def test_ids_need_no_quotes_from_cvs(client: Client, admin: Client, ids: list[int]) -> None:
    def read() -> str:
        return admin.data("audit", "--action", "cv-text", "--lead", str(ids[0]))

    before = read()
    for more in (("-o", "ids"), ("--columns", "id")):
        assert newest(client.data("search", "naturaliz", *more)) == ids[::-1]
    assert read() == before


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
    found = shown(client, "zacharias", "-n", "2", columns=columns)
    assert max(map(len, found)) <= columns
    assert found[0].startswith(f"{ids[2]}  Zacharias")
    assert "z2@long-domain-name.example.com" in " ".join(found).split()
    assert found[-1].startswith("newest 2 of ")
    assert "use -n for more" in found[-1]


@pytest.mark.parametrize("columns", [200, 70, 30])
def test_a_terminal_shows_the_lines_of_the_cv(client: Client, ids: list[int], columns: int) -> None:
    quoted = [
        line for line in shown(client, "naturaliz", "visa", "-n", "1", columns=columns)[1:] if line.startswith("    ")
    ]
    assert max(map(len, quoted)) <= columns
    assert CV.splitlines()[2] in " ".join(line.strip() for line in quoted)


def test_quotes_are_harmless_in_every_format(client: Client, ids: list[int]) -> None:
    assert r"References on request\u202e" in "".join(shown(client, "referen", "-n", "1"))
    for output_format in ("plain", "csv", "json", "table"):
        data = client.data("search", "referen", "request", "-n", "1", "-o", output_format)
        assert "References" in data
        assert "\x1b" not in data
        assert "\u202e" not in data


def test_cvs_that_are_not_read_yet_are_reported(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path, INTAKE_CV_TEXT="off", INTAKE_CV_EXTENSIONS="*")
    with Service(environment, tmp_path) as service:
        user = [INTAKE, "create-user", "peter", "--password-stdin"]
        subprocess.run(user, input=PASSWORD, text=True, env=environment, cwd=tmp_path, check=True, capture_output=True)
        client = Client(service.url, tmp_path)
        client.log_in()
        lead_id = client.submit()
        done = client.run("search", "lovelace", "-o", "ids")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{lead_id}\n", "1 CV is not indexed yet\n")
        client.submit()
        assert client.run("search", "absentword").stderr == "2 CVs are not indexed yet\n"
        assert client.run("--quiet", "search", "absentword").stderr == ""


def test_no_match_has_a_message(client: Client) -> None:
    assert shown(client, "absentword") == ["No leads match"]


def test_found_words_are_marked(client: Client, ids: list[int]) -> None:
    client.environment.pop("NO_COLOR", None)
    client.environment["TERM"] = "xterm-256color"
    _, screen = Terminal(client, "search", "arpad2", "-n", "1", "--no-pager").end()
    assert "\x1b[1;33mÁrpád2\x1b[0m" in screen
