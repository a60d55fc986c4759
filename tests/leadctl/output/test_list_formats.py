"""Output formats of the real program, also with hostile data."""

import csv
import io
import json
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leadctl.conftest import Client
from tests.system.programs import LEADCTL, Service

EVIL = "\x1b[31mred\x1b]0;title\x07\x9b1m\u202eevil\r\n\t[bold]x[/]\x7f"


@pytest.fixture
def evil(client: Client, service: Service) -> Iterator[int]:
    """A lead with control characters, which the public API rejects but an older version may have saved."""
    client.submit()
    lead_id = client.submit()
    _rename(service, lead_id, EVIL, f"=cmd|{EVIL}")
    yield lead_id
    _rename(service, lead_id, "Ada", "cv.pdf")


def _rename(service: Service, lead_id: int, f_name: str, cv_name: str) -> None:
    with sqlite3.connect(Path(service.directory) / "intake.db") as database:
        database.execute('UPDATE lead SET f_name = ?, "CV_name" = ? WHERE id = ?', (f_name, cv_name, lead_id))
    database.close()


@pytest.mark.parametrize("output_format", ["table", "plain", "csv", "json", "ndjson", "ids"])
@pytest.mark.parametrize("command", ["list", "show"])
def test_no_format_contains_control_characters(client: Client, evil: int, output_format: str, command: str) -> None:
    arguments = ["show", str(evil)] if command == "show" else ["list", "-n", "1", "--sort", "-id"]
    shown = client.data(*arguments, "-o", output_format)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", shown)
    if output_format in ("table", "plain"):
        assert "\\x1b[31mred\\x1b]0;title\\x07\\x9b1m\\u202eevil\\r\\n\\t[bold]x[/]\\x7f" in shown


@pytest.mark.parametrize("output_format", ["json", "ndjson"])
def test_json_is_exact_for_hostile_data(client: Client, evil: int, output_format: str) -> None:
    shown = json.loads(client.data("list", "-n", "1", "-o", output_format))
    [lead] = shown if output_format == "json" else [shown]
    assert (lead["id"], lead["f_name"], lead["CV_name"]) == (evil, EVIL, f"=cmd|{EVIL}")


def bytes_of(client: Client, *arguments: str) -> bytes:
    return subprocess.run(
        [LEADCTL, *arguments], capture_output=True, env=client.environment, cwd=client.home, check=True
    ).stdout


def test_csv_is_safe_to_open_and_raw_csv_is_exact(client: Client, evil: int) -> None:
    def rows(*arguments: str) -> list[dict[str, str]]:
        text = bytes_of(client, "list", "-n", "2", "-o", "csv", *arguments).decode()
        assert text.startswith("id,email,f_name,l_name,CV_name,state,created_at\r\n")
        return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))

    [safe, other], [raw, _] = rows(), rows("--raw")
    assert safe["CV_name"].startswith("'=cmd|\\x1b[31mred")
    assert (raw["f_name"], raw["CV_name"]) == (EVIL, f"=cmd|{EVIL}")
    records = json.loads(client.data("list", "-n", "2", "-o", "json"))
    assert other == {name: str(value) for name, value in records[1].items()}


def test_ndjson_has_an_object_on_each_line(client: Client) -> None:
    client.submit()
    lines = client.data("list", "-o", "ndjson").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(client.data("list", "-o", "json"))


def test_columns(client: Client) -> None:
    lead_id = client.submit(email="columns@example.com")
    chosen = ["list", "-n", "1", "--columns", "state,id, email"]
    assert client.data(*chosen) == f"PENDING\t{lead_id}\tcolumns@example.com\n"
    assert client.data(*chosen, "--header").splitlines()[0] == "state\tid\temail"
    assert client.data(*chosen, "-o", "csv").splitlines()[0] == "state,id,email"
    assert list(json.loads(client.data(*chosen, "-o", "ndjson"))) == ["state", "id", "email"]
    assert client.data(*chosen, "-o", "table").splitlines()[0].split() == ["state", "id", "email"]
    assert client.data(*chosen, "-o", "ids") == f"{lead_id}\n"


def test_mail_lists_have_the_same_output_formats(client: Client) -> None:
    lead_id = client.submit()
    chosen = ["mail", "list", "--lead", str(lead_id), "--columns", "lead_id,kind,message_id"]
    [head, *rows] = csv.reader(io.StringIO(client.data(*chosen, "-o", "csv")))
    assert head == ["lead_id", "kind", "message_id"]
    assert sorted(row[1] for row in rows) == ["alert", "confirmation"]
    assert client.run("mail", "list", "--columns", "nothing").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--columns", "id,name"],
            "unknown column 'name' (did you mean f_name or l_name?); the columns are id, email, f_name,",
        ),
        (["--columns", ""], "unknown column ''"),
        (["--raw"], "--raw requires -o csv"),
        (["--raw", "-o", "plain"], "--raw requires -o csv"),
    ],
)
def test_usage(client: Client, arguments: list[str], message: str) -> None:
    done = client.run("list", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_table_in_a_pipe_has_full_width_and_rfc_3339_times(client: Client) -> None:
    client.submit(f_name="a" * 150)
    row = client.data("list", "-n", "1", "-o", "table").splitlines()[1]
    assert "a" * 150 in row
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$", row)
    assert "\x1b" not in row


@pytest.mark.parametrize("output_format", ["plain", "json", "ndjson", "csv", "ids"])
def test_only_tables_import_rich(client: Client, output_format: str) -> None:
    script = "import sys; from leadctl.cli import app\ntry: app()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [LEADCTL.replace("leadctl", "python"), "-c", script, "list", "-n", "1", "-o", output_format],
        capture_output=True,
        text=True,
        env=client.environment,
    )
    assert not {"rich", "leadctl.output.tables", "leadctl.output.pager"} & set(done.stderr.split())
