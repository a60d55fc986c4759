"""The faces of lists, from the real program: for pipes, for files, for spreadsheets; and hostile data in each."""

import csv
import io
import json
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leadctl.conftest import Office
from tests.system.programs import LEADCTL, Service

EVIL = "\x1b[31mred\x1b]0;title\x07\x9b1m\u202eevil\r\n\t[bold]x[/]\x7f"


@pytest.fixture
def evil(office: Office, service: Service) -> Iterator[int]:
    """A lead whose texts a terminal would obey; the public door takes no such ones, an older program might have."""
    office.submit()
    lead_id = office.submit()
    _rename(service, lead_id, EVIL, f"=cmd|{EVIL}")
    yield lead_id
    _rename(service, lead_id, "Ada", "cv.pdf")


def _rename(service: Service, lead_id: int, f_name: str, cv_name: str) -> None:
    with sqlite3.connect(Path(service.directory) / "intake.db") as database:
        database.execute('UPDATE lead SET f_name = ?, "CV_name" = ? WHERE id = ?', (f_name, cv_name, lead_id))
    database.close()


@pytest.mark.parametrize("face", ["table", "plain", "csv", "json", "ndjson", "ids"])
@pytest.mark.parametrize("command", ["list", "show"])
def test_no_face_sends_what_a_terminal_obeys(office: Office, evil: int, face: str, command: str) -> None:
    arguments = ["show", str(evil)] if command == "show" else ["list", "-n", "1", "--sort", "-id"]
    shown = office.data(*arguments, "-o", face)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", shown)
    if face in ("table", "plain"):
        assert "\\x1b[31mred\\x1b]0;title\\x07\\x9b1m\\u202eevil\\r\\n\\t[bold]x[/]\\x7f" in shown


@pytest.mark.parametrize("face", ["json", "ndjson"])
def test_json_carries_hostile_data_exactly(office: Office, evil: int, face: str) -> None:
    shown = json.loads(office.data("list", "-n", "1", "-o", face))
    [lead] = shown if face == "json" else [shown]
    assert (lead["id"], lead["f_name"], lead["CV_name"]) == (evil, EVIL, f"=cmd|{EVIL}")


def bytes_of(office: Office, *arguments: str) -> bytes:
    return subprocess.run(
        [LEADCTL, *arguments], capture_output=True, env=office.environment, cwd=office.home, check=True
    ).stdout


def test_csv_is_safe_to_open_and_raw_csv_is_exact(office: Office, evil: int) -> None:
    def rows(*arguments: str) -> list[dict[str, str]]:
        text = bytes_of(office, "list", "-n", "2", "-o", "csv", *arguments).decode()
        assert text.startswith("id,email,f_name,l_name,CV_name,state,created_at\r\n")
        return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))

    [safe, other], [raw, _] = rows(), rows("--raw")
    assert safe["CV_name"].startswith("'=cmd|\\x1b[31mred")
    assert (raw["f_name"], raw["CV_name"]) == (EVIL, f"=cmd|{EVIL}")
    records = json.loads(office.data("list", "-n", "2", "-o", "json"))
    assert other == {name: str(value) for name, value in records[1].items()}


def test_ndjson_is_an_object_a_line_and_json_the_array_of_them(office: Office) -> None:
    office.submit()
    lines = office.data("list", "-o", "ndjson").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(office.data("list", "-o", "json"))


def test_columns(office: Office) -> None:
    lead_id = office.submit(email="columns@example.com")
    chosen = ["list", "-n", "1", "--columns", "state,id, email"]
    assert office.data(*chosen) == f"PENDING\t{lead_id}\tcolumns@example.com\n"
    assert office.data(*chosen, "--header").splitlines()[0] == "state\tid\temail"
    assert office.data(*chosen, "-o", "csv").splitlines()[0] == "state,id,email"
    assert list(json.loads(office.data(*chosen, "-o", "ndjson"))) == ["state", "id", "email"]
    assert office.data(*chosen, "-o", "table").splitlines()[0].split() == ["state", "id", "email"]
    assert office.data(*chosen, "-o", "ids") == f"{lead_id}\n"


def test_mails_have_the_same_faces(office: Office) -> None:
    lead_id = office.submit()
    chosen = ["mail", "list", "--lead", str(lead_id), "--columns", "lead_id,kind,message_id"]
    [head, *rows] = csv.reader(io.StringIO(office.data(*chosen, "-o", "csv")))
    assert head == ["lead_id", "kind", "message_id"]
    assert sorted(row[1] for row in rows) == ["alert", "confirmation"]
    assert office.run("mail", "list", "--columns", "nothing").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--columns", "id,name"], "there is no column 'name'; the columns are id, email, f_name,"),
        (["--columns", ""], "there is no column ''"),
        (["--raw"], "--raw is for -o csv"),
        (["--raw", "-o", "plain"], "--raw is for -o csv"),
    ],
)
def test_usage(office: Office, arguments: list[str], told: str) -> None:
    done = office.run("list", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_table_in_a_pipe_is_as_wide_as_it_needs_and_has_rfc_3339(office: Office) -> None:
    office.submit(f_name="a" * 150)
    row = office.data("list", "-n", "1", "-o", "table").splitlines()[1]
    assert "a" * 150 in row
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", row)
    assert "\x1b" not in row


@pytest.mark.parametrize("face", ["plain", "json", "ndjson", "csv", "ids"])
def test_only_a_table_takes_the_time_to_draw_one(office: Office, face: str) -> None:
    script = "import sys; from leadctl.cli import app\ntry: app()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [LEADCTL.replace("leadctl", "python"), "-c", script, "list", "-n", "1", "-o", face],
        capture_output=True,
        text=True,
        env=office.environment,
    )
    assert not {"rich", "leadctl.output.tables", "leadctl.output.pager"} & set(done.stderr.split())
