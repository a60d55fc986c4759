"""leadctl import."""

import csv
import json
import re
import shlex
import signal
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex

import pytest

from tests.leadctl.conftest import Client
from tests.leadctl.proxy import Proxy
from tests.system.programs import LEADCTL
from tests.system.terminal import Terminal

HEADER = "email,f_name,l_name,CV,state,external_id"
AWAY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def listed(leads: bytes) -> bytes:
    """Return the response with the newest lead, which an import requests first."""
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(leads), leads)


class ImportDirectory:
    """A directory of CVs and CSV files, with a unique email domain."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.domain = f"{token_hex(6)}.example"
        self.directory = client.home / "old"
        self.directory.mkdir()

    def cv(self, name: str) -> str:
        (self.directory / name).write_bytes(f"CV {name} {self.domain}".encode())
        return name

    def row(self, name: str, *, state: str = "", external_id: str = "") -> str:
        return f"{name}@{self.domain},{name.title()},Old,{self.cv(f'{name}.pdf')},{state},{external_id}"

    def write(self, *lines: str, name: str = "leads.csv", encoding: str = "utf-8") -> str:
        (self.directory / name).write_text("".join(f"{line}\n" for line in lines), encoding)
        return f"old/{name}"

    def saved(self) -> list[dict[str, object]]:
        """Return the saved leads of its domain, oldest first."""
        found = json.loads(self.client.data("list", "--email", f"*@{self.domain}", "--sort", "id", "-o", "json"))
        return list(found)


@pytest.fixture
def imports(client: Client) -> ImportDirectory:
    return ImportDirectory(client)


def test_each_row_becomes_a_lead_without_mail(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, imports.row("ada", state="ENGAGED", external_id=imports.domain), imports.row("bob"))
    done = client.run("import", file)
    assert (done.returncode, done.stderr) == (0, "2 of 2 leads imported\n")
    saved = imports.saved()
    assert done.stdout.split() == [str(lead["id"]) for lead in saved]
    assert [(lead["f_name"], lead["CV_name"], lead["state"]) for lead in saved] == [
        ("Ada", "ada.pdf", "ENGAGED"),
        ("Bob", "bob.pdf", "PENDING"),
    ]
    for lead in saved:
        assert client.data("mail", "list", "--lead", str(lead["id"])) == ""
    assert sorted(path.name for path in imports.directory.iterdir()) == ["ada.pdf", "bob.pdf", "leads.csv"]


def test_notify_queues_mails(client: Client, imports: ImportDirectory) -> None:
    [lead_id] = client.data("import", "--notify", imports.write(HEADER, imports.row("ada"))).split()
    assert "confirmation" in client.data("mail", "list", "--lead", lead_id)


def test_repeating_an_import_saves_no_lead_twice(client: Client, imports: ImportDirectory) -> None:
    client.data("import", imports.write(HEADER, imports.row("ada"), imports.row("bob", external_id=imports.domain)))
    (imports.directory / "ada.pdf").rename(imports.directory / "renamed.pdf")
    again = imports.write(
        "external_id;state;CV;l_name;f_name;email",
        f";DECLINED;renamed.pdf;Old; Ada;Ada@{imports.domain}",
        f"{imports.domain};ENGAGED;bob.pdf;New;Robert;bob@{imports.domain}",
        f";;bob.pdf;Newcomer;Cy;cy@{imports.domain}",
        f";;bob.pdf;Newcomer;Cy;cy@{imports.domain}",
    )
    done = client.run("import", again)
    assert (done.returncode, done.stderr) == (0, "1 of 4 leads imported, 3 already existed\n")
    assert [(lead["f_name"], lead["state"]) for lead in imports.saved()] == [
        ("Ada", "PENDING"),
        ("Bob", "PENDING"),
        ("Cy", "PENDING"),
    ]
    assert done.stdout.split() == [str(imports.saved()[2]["id"])]


def test_concurrent_imports_save_each_lead_once(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, *(imports.row(f"n{n}") for n in range(10)))
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _: client.run("import", file), range(3)))
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(imports.saved()) == 10


def test_failed_rows_are_written_to_the_error_file(client: Client, imports: ImportDirectory) -> None:
    good = imports.row("ada")
    (imports.directory / "empty.pdf").touch()
    file = imports.write(
        HEADER,
        good,
        f"bob@{imports.domain},Bob,Old,nowhere.pdf,,",
        f'cy@{imports.domain},"Cy ""the\neye""",Old,ada.pdf,,',
        f"dan@{imports.domain},,Old,ada.pdf,LOST,",
        f"eve@{imports.domain},Eve,Old,ada.pdf,LOST,",
        f"fay@{imports.domain},Fay,Old",
        f"gus@{imports.domain},Gus,Old,ada.pdf,,,more",
        f"hal@{imports.domain},Hal,Old,empty.pdf,,",
        ",,,,,",
        "",
        f"ivy.{imports.domain},Ivy,Old,ada.pdf,,",
    )
    done = client.run("import", file)
    assert done.returncode == 3
    *lines, summary = done.stderr.splitlines()
    assert summary == "leadctl: 1 of 9 leads imported, 8 failed; correct them in old/leads.errors.csv and import that"
    assert [line.partition(": ")[0] for line in lines] == [f"line {n}" for n in (3, 4, 6, 7, 8, 9, 10, 13)]
    errors = imports.directory / "leads.errors.csv"
    assert stat.S_IMODE(errors.stat().st_mode) == 0o600
    with errors.open(newline="") as written:
        header, *rows = csv.reader(written)
    assert header == [*HEADER.split(","), "error"]
    assert rows[0][6] == "can't read old/nowhere.pdf: No such file or directory"
    assert rows[1][1] == 'Cy "the\neye"'
    assert [row[6] for row in rows[1:]] == [
        "f_name: must not contain control characters",
        "f_name: is required; state: 'LOST' is not a state; the states are PENDING, REACHED_OUT, ENGAGED, DECLINED",
        "state: 'LOST' is not a state; the states are PENDING, REACHED_OUT, ENGAGED, DECLINED",
        "has 3 cells; the header has 6",
        "has 7 cells; the header has 6",
        "old/empty.pdf is empty",
        "email: must be an email address, such as ada@example.com",
    ]
    assert rows[5][7] == "more"

    text = errors.read_text()
    for bad, mended in (("nowhere", "ada"), ("\neye", " eye"), (",,Old", ",Dan,Old"), ("LOST", "engaged")):
        text = text.replace(bad, mended)
    errors.write_text(text)
    again = client.run("import", "old/leads.errors.csv")
    assert again.returncode == 3
    assert "4 of 8 leads imported, 4 failed; correct them in old/leads.errors-2.csv" in again.stderr
    with (imports.directory / "leads.errors-2.csv").open(newline="") as written:
        assert next(csv.reader(written)) == header
    third = client.run("import", "old/leads.errors-2.csv")
    assert "4 failed; correct them in old/leads.errors-3.csv" in third.stderr
    names = {path.name for path in imports.directory.glob("*.csv*")}
    assert names == {"leads.csv", "leads.errors.csv", "leads.errors-2.csv", "leads.errors-3.csv"}
    assert {lead["f_name"] for lead in imports.saved()} == {"Ada", "Bob", 'Cy "the eye"', "Dan", "Eve"}


def test_an_older_error_file_is_renamed(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, "x,x,x,x,,")
    (imports.directory / "leads.errors.csv").write_text("mended, and not yet imported")
    assert client.run("import", file).returncode == 3
    assert (imports.directory / "leads.errors.csv.~1~").read_text() == "mended, and not yet imported"
    assert "can't read old/x" in (imports.directory / "leads.errors.csv").read_text()


def test_an_error_file_in_another_directory_has_absolute_cv_paths(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, imports.row("ada", state="LOST"))
    assert client.run("import", file, "--errors", "rejected.csv").returncode == 3
    mended = client.home / "rejected.csv"
    mended.write_text(mended.read_text().replace("LOST", ""))
    assert client.run("import", "rejected.csv").returncode == 0
    assert len(imports.saved()) == 1


@pytest.mark.parametrize(
    ("lines", "encoding", "options"),
    [
        (["email;f_name;l_name;CV", "{0};A, B;C;x"], "utf-8", []),
        (["email\tf_name\tl_name\tCV", "{0}\tA, B\tC\tx"], "utf-8", []),
        (["email,f_name,l_name,CV\r", '{0},"A, B",C,x\r'], "utf-8-sig", []),
        ([" EMAIL ;F_Name;L_NAME;cv;Error", '"{0}";"A, B";C;x;was wrong'], "utf-8-sig", []),
        (["email|f_name|l_name|CV", "{0}|A, B|C|x"], "utf-8", ["--delimiter", "|"]),
        (["email\tf_name\tl_name\tCV", "{0}\tA, B\tC\tx"], "utf-8", ["--delimiter", "tab"]),
    ],
)
def test_csv_files_of_spreadsheet_programs(
    client: Client, imports: ImportDirectory, lines: list[str], encoding: str, options: list[str]
) -> None:
    imports.cv("x")
    address = f"zoë@{imports.domain}"
    file = imports.write(*(line.format(address) for line in lines), encoding=encoding)
    assert client.run("import", file, *options).stderr == "1 of 1 leads imported\n"
    assert [(lead["email"], lead["f_name"]) for lead in imports.saved()] == [(address, "A, B")]


KNOWN = "(required columns: email, f_name, l_name, CV; optional: state, external_id)"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"email,f_name,l_name,CV,phone,fax\n", f": unknown columns 'phone', 'fax' {KNOWN}"),
        (b"email;f_name;l_name;CV;phone\n", f": unknown columns 'phone' {KNOWN}"),
        (b"E-Mail;Vorname\n", f": unknown columns 'E-Mail', 'Vorname' {KNOWN}"),
        (b"email,f_name,CV\n", f": missing columns l_name {KNOWN}"),
        (b"email,f_name,l_name,CV,Email\n", f": duplicate column {KNOWN}"),
        (b"", f": missing columns email, f_name, l_name, CV {KNOWN}"),
        (b"email,f_name,l_name,CV\na,\xe9,c,d\n", " is not UTF-8; in a spreadsheet program, save it as “CSV UTF-8”"),
        (b'email,f_name,l_name,CV\na,b,c,d\na,"b"x,c,d\n', ", line 3: ',' expected after '\"'"),
        (b'email,f_name,l_name,CV\na,"b,c,d\n', ", line 2: unexpected end of data"),
        (b"a" * 200_000, ", line 1: field larger than field limit (131072)"),
        (b"email,f_name,l_name,CV\n" + b"a" * 200_000, ", line 2: field larger than field limit (131072)"),
    ],
)
def test_an_invalid_csv_file_is_a_usage_error(anonymous: Client, content: bytes, why: str) -> None:
    (anonymous.home / "leads.csv").write_bytes(content)
    done = anonymous.run("import", "leads.csv")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"leadctl: leads.csv{why}\n")


def test_other_usage(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, imports.row("ada"))
    for arguments in (
        ["nowhere.csv"],
        ["old"],
        ["x" * 300],
        [file, "--delimiter", "ab"],
        [file, "--errors", f"old/../{file}"],
    ):
        done = client.run("import", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert imports.saved() == []


def test_a_dry_run_validates_like_a_real_run_and_saves_nothing(client: Client, imports: ImportDirectory) -> None:
    known = [imports.row("zoe", external_id=imports.domain), imports.row("yan", external_id=f"{imports.domain}/y")]
    lead_id = client.data("import", imports.write(HEADER, *known)).split()[0]
    (imports.directory / "run.pdf").write_bytes(b"MZ" + bytes(100))
    (imports.directory / "large.pdf").write_bytes(bytes(11 * 2**20))
    rows = [
        imports.row("ada", external_id=f"{imports.domain}/1"),
        imports.row("bob", external_id=f"{imports.domain}/1"),
        "x,x,x,x,,",
        imports.row("cy", state="LOST"),
        imports.row("dan", external_id=imports.domain),
        f"eve@{imports.domain},Eve,Old,run.pdf,,",
        f"fay@{imports.domain},Fay,Old,large.pdf,,",
        imports.row("gus"),
        known[1],
    ]
    file = imports.write(HEADER, *rows)
    dry = client.run("import", "--dry-run", file)
    assert [lead["f_name"] for lead in imports.saved()] == ["Zoe", "Yan"]
    assert not (imports.directory / "leads.errors.csv").exists()
    real = client.run("import", file)
    assert (dry.returncode, real.returncode, dry.stdout) == (3, 3, "")
    *dry_lines, dry_summary = dry.stderr.splitlines()
    *lines, summary = real.stderr.splitlines()
    assert dry_lines == lines
    assert [line.partition(": ")[0] for line in lines] == [f"line {n}" for n in (3, 4, 5, 6, 7, 8)]
    assert f"external_id: {imports.domain} belongs to lead {lead_id}, zoe@{imports.domain}" in lines[3]
    assert dry_summary == "leadctl: dry run: 3 of 9 leads are valid (1 already exist), 6 failed"
    assert summary.startswith("leadctl: 2 of 9 leads imported, 1 already existed, 6 failed; correct them in ")
    assert [lead["f_name"] for lead in imports.saved()] == ["Zoe", "Yan", "Ada", "Gus"]
    done = client.run("import", "--dry-run", imports.write(HEADER, rows[0]))
    assert (done.returncode, done.stderr) == (0, "dry run: 1 of 1 leads are valid (1 already exist)\n")


def test_a_dry_run_needs_the_server(anonymous: Client) -> None:
    imports = ImportDirectory(anonymous)
    done = anonymous.run("import", "--dry-run", imports.write(HEADER, imports.row("ada")))
    assert (done.returncode, done.stdout) == (4, "")
    assert "(dry run: 0 of 1 leads are valid)" in done.stderr


def test_an_external_id_of_another_person_is_an_error(client: Client, imports: ImportDirectory) -> None:
    [lead_id] = client.data("import", imports.write(HEADER, imports.row("ada", external_id=imports.domain))).split()
    done = client.run("import", imports.write(HEADER, imports.row("bob", external_id=imports.domain)))
    assert done.returncode == 3
    error = f"external_id: {imports.domain} belongs to lead {lead_id}, ada@{imports.domain}; use another id"
    assert f"line 2: {error}\n" in done.stderr
    assert error in (imports.directory / "leads.errors.csv").read_text()
    assert [lead["f_name"] for lead in imports.saved()] == ["Ada"]


@pytest.mark.parametrize(("before", "summary"), [(0, "3 of 3 leads imported"), (1, "2 of 3 leads imported, 1 already")])
def test_a_lost_response_creates_no_second_lead(
    client: Client, imports: ImportDirectory, before: int, summary: str
) -> None:
    rows = [imports.row(f"n{n}") for n in range(3)]
    old = client.data("import", imports.write(HEADER, *rows[:before])).split() if before else []
    file = imports.write(HEADER, *rows)
    newest = client.data("list", "-n", "1", "-o", "json", "--sort", "-id").encode()  # read before the import
    with Proxy(client.url, answers=[listed(newest)], cuts=[0, 0]) as proxy:
        done = client.run("--url", proxy.url, "import", file, LEADCTL_TOKEN=client.token())
    assert done.returncode == 0
    assert done.stderr.count("(retrying)") == 2
    assert ".." not in done.stderr
    assert summary in done.stderr
    assert {*done.stdout.split(), *old} == {str(lead["id"]) for lead in imports.saved()}
    assert len(imports.saved()) == 3


def test_retry_after_is_honoured(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, imports.row("ada"))
    begun = time.monotonic()
    with Proxy(client.url, answers=[listed(b"[]"), *[AWAY] * 3]) as proxy:
        done = client.run("--url", proxy.url, "import", file, LEADCTL_TOKEN=client.token())
    assert (done.returncode, len(imports.saved())) == (0, 1)
    assert time.monotonic() - begun > 3


def test_an_unavailable_server_is_exit_75_and_the_next_run_continues(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, imports.row("ada"), "x,x,x,x,,", imports.row("bob"), imports.row("cy"))
    with Proxy(client.url, answers=[listed(b"[]"), *[AWAY] * 5]) as proxy:
        run = ("--url", proxy.url, "import", file)
        done = client.run(*run, LEADCTL_TOKEN=client.token())
        assert (done.returncode, done.stdout, proxy.answers) == (75, "", [])
        assert "(0 of 4 leads imported; run it again to continue; no lead is saved twice)\n" in done.stderr
        assert client.run(*run, LEADCTL_TOKEN=client.token()).returncode == 3
    assert len(imports.saved()) == 3


def test_login_required(anonymous: Client) -> None:
    imports = ImportDirectory(anonymous)
    done = anonymous.run("import", imports.write(HEADER, imports.row("ada")))
    assert done.returncode == 4
    assert "0 of 1 leads imported" in done.stderr
    assert not (imports.directory / "leads.errors.csv").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reports_progress_and_the_next_run_continues(
    client: Client, imports: ImportDirectory, number: signal.Signals
) -> None:
    file = imports.write(HEADER, "x,x,x,x,,", *(imports.row(f"n{n}") for n in range(200)))
    process = subprocess.Popen(
        [LEADCTL, "import", file],
        env=client.environment,
        cwd=client.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(number)
    _, output = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    found = re.search(
        r"^interrupted: (\d+) of 201 leads imported, 1 failed; run it again to continue", output, re.MULTILINE
    )
    assert found, output
    assert 5 <= int(found[1]) <= len(imports.saved()) <= int(found[1]) + 1 < 200
    assert "can't read old/x" in (imports.directory / "leads.errors.csv").read_text()
    assert client.run("import", file).returncode == 3
    assert len(imports.saved()) == 200


def test_a_closed_pipe_does_not_stop_the_work(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, *(imports.row(f"n{n}") for n in range(5)))
    script = f"set -o pipefail; {shlex.quote(LEADCTL)} import {file} | true"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=client.environment, cwd=client.home
    )
    assert (done.returncode, done.stderr) == (0, "5 of 5 leads imported\n")
    assert len(imports.saved()) == 5


def test_an_unwritable_error_file_is_an_error(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, "x,x,x,x,,")
    script = f"ulimit -f 0; {shlex.quote(LEADCTL)} import {file}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=client.environment, cwd=client.home
    )
    account = "(0 of 1 leads imported; run it again to continue; no lead is saved twice)"
    message = f"leadctl: can't write old/leads.errors.csv: File too large {account}"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, message)


def test_a_terminal_shows_a_bar_and_no_ids(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, "x,x,x,x,,", *(imports.row(f"n{n}") for n in range(30)))
    code, screen = Terminal(client, "import", file, columns=100).end()
    assert code == 3
    assert "Importing leads" in screen
    assert "/31" in screen
    assert "line 2: can't read old/x" in screen
    assert "leadctl: 30 of 31 leads imported, 1 failed; correct them in old/leads.errors.csv" in screen.splitlines()[-1]


def test_a_cv_name_is_not_markup(client: Client, imports: ImportDirectory) -> None:
    (imports.directory / "[red]x[").write_bytes(bytes(6_000_000))
    file = imports.write("email,f_name,l_name,CV", f"ada@{imports.domain},Ada,Old,[red]x[")
    code, screen = Terminal(client, "import", file, columns=100).end()
    assert (code, "/6.0 MB" in screen, "1 of 1 leads imported" in screen) == (0, True, True), screen


def test_control_characters_are_escaped(client: Client, imports: ImportDirectory) -> None:
    file = imports.write(HEADER, "\x1b[31m[bold]x\u202e,x,x,x,,")
    done = client.run("import", file)
    assert done.returncode == 3
    assert not set(done.stderr) & {"\x1b", "\u202e"}
