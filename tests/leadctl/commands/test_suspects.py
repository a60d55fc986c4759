"""Suspect leads and the firm's own fields in all commands."""

import csv
import io
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from intake.database import Database
from intake.form.timestamps import FormKey
from intake.settings import Settings
from tests.leadctl.commands.test_watch import Watch
from tests.leadctl.conftest import PASSWORD, Client
from tests.system.programs import INTAKE, Service, clean_environment
from tests.system.terminal import Terminal, lines

DEFINITION = """
privacy_url = "https://firm.example/privacy"
[[fields]]
key = "matter"
type = "text"
label = {en = "Matter"}
[[fields]]
key = "signed_at"
type = "long_text"
label = {en = "Signed"}
[[consents]]
key = "newsletter"
label = {en = "News"}
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """An attorney's client of a service with a form."""
    (tmp_path / "form.toml").write_text(DEFINITION)
    environment = clean_environment(tmp_path, INTAKE_FORM="form.toml", INTAKE_CV_EXTENSIONS="*")
    with Service(environment, tmp_path) as service:
        create = [INTAKE, "create-user", "peter", "--password-stdin"]
        subprocess.run(create, input=PASSWORD, text=True, env=environment, cwd=tmp_path, check=True, timeout=60)
        home = tmp_path / "home"
        home.mkdir()
        client = Client(service.url, home)
        client.log_in()
        yield client


@pytest.fixture
def honeypot(client: Client, tmp_path: Path) -> str:
    """The name of the service's honeypot."""
    database = Database(Settings(database_url=f"sqlite:///{tmp_path / 'intake.db'}"), connections=1)
    name = FormKey.from_database(database).honeypot
    database.close()
    return name


def spam(client: Client, honeypot: str, email: str = "s@example.com", **fields: str) -> int:
    """Submit a lead with a filled honeypot, and return its id."""
    return client.submit(email=email, **fields, **{honeypot: "x"})  # type: ignore[arg-type]


ONE = "1 suspect lead is omitted; --suspect includes it\n"


def test_a_list_omits_suspect_leads_and_says_how_many(client: Client, honeypot: str) -> None:
    good, bad = client.submit(), spam(client, honeypot)
    for output in ("plain", "json", "ndjson", "csv", "ids"):
        done = client.run("list", "-o", output)
        assert (done.returncode, done.stderr) == (0, ONE), output
    listed = json.loads(client.run("list", "-o", "json").stdout)
    assert [list(one) for one in listed] == [["id", "email", "f_name", "l_name", "CV_name", "state", "created_at"]]
    whole = client.run("list", "--suspect", "-o", "json", "--sort", "id")
    assert (whole.stderr, [(one["id"], one["suspect"]) for one in json.loads(whole.stdout)]) == (
        "",
        [(good, None), (bad, "honeypot")],
    )
    assert client.data("list", "--suspect", "--columns", "id,suspect", "--sort", "id") == f"{good}\t\n{bad}\thoneypot\n"
    assert client.run("list", "--email", "nobody@example.com").stderr == ""
    assert client.run("--quiet", "list", "-o", "ids").stderr == ""


def test_a_search_shows_the_sign_of_spam(client: Client, honeypot: str) -> None:
    spam(client, honeypot)
    [shown] = [line for line in lines(Terminal(client, "search", "s@example.com").end()[1]) if "PENDING" in line]
    assert shown.endswith("suspect: honeypot")


def test_stats_omit_suspect_leads(client: Client, honeypot: str) -> None:
    client.submit()
    spam(client, honeypot)
    done = client.run("stats", "-o", "json")
    assert (json.loads(done.stdout)["total"], done.stderr) == (1, ONE)
    done = client.run("stats", "--suspect", "-o", "json")
    assert (json.loads(done.stdout)["total"], done.stderr) == (2, "")


def test_watch_omits_suspect_leads(client: Client, honeypot: str) -> None:
    flags = ("--since", "1h", "-o", "ndjson")
    with Watch(client, *flags) as watch, Watch(client, *flags, "--suspect") as everything:
        spam(client, honeypot)
        good = client.submit()
        [line] = watch.wait_for(1)
        assert json.loads(line)["id"] == good
        assert "suspect" not in json.loads(line)
        assert [json.loads(line)["suspect"] for line in everything.wait_for(2)] == ["honeypot", None]
        assert watch.end(signal.SIGINT)[1] == ONE
        assert everything.end(signal.SIGINT)[1] == ""


def test_cleared_leads_are_listed(client: Client, honeypot: str) -> None:
    ids = [spam(client, honeypot, f"{n}@example.com") for n in range(3)]
    assert client.run("clear-suspect", str(ids[0])).stderr == f"lead {ids[0]} is no longer suspect\n"
    done = client.run("clear-suspect", "-", typed=f"{ids[1]} {ids[2]} 999")
    assert (done.returncode, done.stderr) == (
        3,
        "999: there is no lead 999\nleadctl: 2 of 3 leads are no longer suspect\n",
    )
    assert client.run("clear-suspect", "999").returncode == 5
    again = client.run("clear-suspect", str(ids[0]))
    assert (again.returncode, again.stderr) == (0, f"lead {ids[0]} was not suspect\n")
    done = client.run("clear-suspect", str(ids[0]), str(spam(client, honeypot, "4@example.com")))
    assert (done.returncode, done.stderr) == (
        0,
        f"{ids[0]}: lead {ids[0]} was not suspect\n1 of 2 leads are no longer suspect; 1 was not suspect\n",
    )
    assert len(client.data("list", "-o", "ids").split()) == 4
    assert {mail["state"] for mail in json.loads(client.data("mail", "list", "-o", "json"))} <= {"queued", "sent"}


def test_triage_omits_suspect_leads_and_clears_them(client: Client, honeypot: str) -> None:
    bad = spam(client, honeypot, matter="A *new* matter")
    terminal = Terminal(client, "triage", "--plain")
    code, screen = terminal.end()
    assert code == 0
    assert "No leads match" in screen
    assert ONE.strip() in screen
    terminal = Terminal(client, "triage", "--plain", "--suspect")
    terminal.read_until("[c]lear")
    assert "suspect: honeypot" in terminal.screen
    assert "matter: A *new* matter" in terminal.screen
    terminal.type("c\r")
    terminal.read_until(f"lead {bad} is not suspect; its mails are queued")
    terminal.read_until("[s]kip, [b]ack", within_s=60)
    terminal.type("q\r")
    terminal.end()
    assert client.data("list", "-o", "ids") == f"{bad}\n"


FIELDS = {"matter": "=1+1", "signed_at": "then\nnow \u202e", "newsletter": "on", "privacy": "on", "language": "en"}


def submit_fields(client: Client) -> int:
    return client.submit(**FIELDS)  # type: ignore[arg-type]


def test_fields_in_lists(client: Client) -> None:
    lead_id, other = submit_fields(client), client.submit(email="b@example.com")
    whole = json.loads(client.data("list", "--fields", "-o", "json", "--sort", "id"))
    assert [one["fields"] for one in whole] == [{"matter": "=1+1", "signed_at": "then\nnow \u202e"}, {}]
    rows = list(csv.DictReader(io.StringIO(client.data("list", "--fields", "-o", "csv", "--sort", "id"))))
    assert [list(row)[-2:] for row in rows] == [["fields.matter", "fields.signed_at"]] * 2
    assert rows[0]["fields.matter"] == "'=1+1", "no spreadsheet reads it as a formula"
    assert rows[0]["fields.signed_at"] == "then\\nnow \\u202e"
    raw = list(csv.DictReader(io.StringIO(client.data("list", "--fields", "-o", "csv", "--raw", "--sort", "id"))))
    assert (raw[0]["fields.matter"], raw[1]["fields.matter"]) == ("=1+1", "")
    columns = client.data("list", "--columns", "id,fields.matter,fields.gone", "--sort", "id")
    assert columns == f"{lead_id}\t=1+1\t\n{other}\t\t\n"
    selected = json.loads(client.data("list", "--columns", "id,fields.matter", "-o", "json", "--sort", "id"))
    assert selected[0] == {"id": lead_id, "fields.matter": "=1+1"}
    assert client.data("list", "--fields", "-o", "ids", "--sort", "id") == f"{lead_id}\n{other}\n"


def test_columns_that_no_field_can_have(client: Client) -> None:
    known = "id, email, f_name, l_name, CV_name, state, created_at, suspect, fields.KEY"
    for name in ("fields.KEY", "fields.", "fields.A", "fields", "field.x"):
        done = client.run("list", "--columns", f"id,{name}")
        assert done.returncode == 2
        assert done.stderr.splitlines()[0] == f"leadctl: unknown column {name!r}; the columns are {known}"


def test_show_has_fields_and_consents(client: Client) -> None:
    lead_id = str(submit_fields(client))
    shown = json.loads(client.data("show", lead_id, "-o", "json"))
    assert (shown["fields.matter"], shown["language"], shown["suspect"]) == ("=1+1", "en", None)
    assert shown["consents.newsletter"].endswith("Z, en")
    assert "consents.privacy" in shown
    code, screen = Terminal(client, "show", lead_id).end()
    assert code == 0
    assert any(line.startswith("fields.matter ") and line.endswith("=1+1") for line in lines(screen))
    assert "then\\nnow \\u202e" in screen


def test_fields_are_found_by_search(client: Client) -> None:
    lead_id = client.submit(matter="A quarrel about a windmill")
    client.submit(email="b@example.com")
    assert client.data("search", "windm", "-o", "ids") == f"{lead_id}\n"
    assert "fields.matter: A quarrel about a windmill" in "\n".join(lines(Terminal(client, "search", "windm").end()[1]))
    assert client.data("search", "windm", "--columns", "found") == "A quarrel about a windmill\n"


def test_a_definition_with_an_error_stops_the_service(tmp_path: Path) -> None:
    (tmp_path / "form.toml").write_text(DEFINITION.replace('"matter"', '"email"'))
    environment = clean_environment(tmp_path, INTAKE_FORM="form.toml")
    done = subprocess.run([INTAKE, "serve"], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    expected = "intake: INTAKE_FORM: form.toml: fields #1.key: 'email' is reserved; choose another key\n"
    assert done.stderr.endswith(expected)


def test_the_page_of_a_list_says_how_many_are_omitted(client: Client, honeypot: str) -> None:
    spam(client, honeypot)
    headers = {"Authorization": f"Bearer {client.token()}"}
    answer = httpx2.get(f"{client.url}/internal/leads/?suspect=false&limit=1", headers=headers)
    assert (answer.json(), answer.headers["Suspect-Omitted"]) == ([], "1")
