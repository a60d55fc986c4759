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

from tests.leadctl.conftest import Office
from tests.leadctl.proxy import Proxy
from tests.system.programs import LEADCTL
from tests.system.test_terminal import Terminal

HEADER = "email,f_name,l_name,CV,state,external_id"
AWAY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Cabinet:
    """A directory of leads with CVs of their own, under a domain that no other test's leads have."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.domain = f"{token_hex(6)}.example"
        self.directory = office.home / "old"
        self.directory.mkdir()

    def cv(self, name: str) -> str:
        (self.directory / name).write_bytes(f"CV {name} {self.domain}".encode())
        return name

    def row(self, name: str, *, state: str = "", external_id: str = "") -> str:
        return f"{name}@{self.domain},{name.title()},Old,{self.cv(f'{name}.pdf')},{state},{external_id}"

    def write(self, *lines: str, name: str = "leads.csv", encoding: str = "utf-8") -> str:
        (self.directory / name).write_text("".join(f"{line}\n" for line in lines), encoding)
        return f"old/{name}"

    def kept(self) -> list[dict[str, object]]:
        """Return those of its leads that the service keeps, oldest first."""
        found = json.loads(self.office.data("list", "--email", f"*@{self.domain}", "--sort", "id", "-o", "json"))
        return list(found)


@pytest.fixture
def cabinet(office: Office) -> Cabinet:
    return Cabinet(office)


def test_each_row_becomes_a_lead_and_nobody_is_sent_a_mail(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, cabinet.row("ada", state="ENGAGED", external_id=cabinet.domain), cabinet.row("bob"))
    done = office.run("import", file)
    assert (done.returncode, done.stderr) == (0, "2 of 2 leads are kept\n")
    kept = cabinet.kept()
    assert done.stdout.split() == [str(lead["id"]) for lead in kept]
    assert [(lead["f_name"], lead["CV_name"], lead["state"]) for lead in kept] == [
        ("Ada", "ada.pdf", "ENGAGED"),
        ("Bob", "bob.pdf", "PENDING"),
    ]
    for lead in kept:
        assert office.data("mail", "list", "--lead", str(lead["id"])) == ""
    assert sorted(path.name for path in cabinet.directory.iterdir()) == ["ada.pdf", "bob.pdf", "leads.csv"]


def test_with_notify_mails_are_owed(office: Office, cabinet: Cabinet) -> None:
    [lead_id] = office.data("import", "--notify", cabinet.write(HEADER, cabinet.row("ada"))).split()
    assert "confirmation" in office.data("mail", "list", "--lead", lead_id)


def test_run_again_it_keeps_nothing_twice_whatever_was_mended(office: Office, cabinet: Cabinet) -> None:
    office.data("import", cabinet.write(HEADER, cabinet.row("ada"), cabinet.row("bob", external_id=cabinet.domain)))
    (cabinet.directory / "ada.pdf").rename(cabinet.directory / "renamed.pdf")
    again = cabinet.write(
        "external_id;state;CV;l_name;f_name;email",
        f";DECLINED;renamed.pdf;Old; Ada;ada@{cabinet.domain}",
        f"{cabinet.domain};ENGAGED;bob.pdf;New;Robert;bob@{cabinet.domain}",
        f";;bob.pdf;Newcomer;Cy;cy@{cabinet.domain}",
        f";;bob.pdf;Newcomer;Cy;cy@{cabinet.domain}",
    )
    done = office.run("import", again)
    assert (done.returncode, done.stderr) == (0, "4 of 4 leads are kept (3 of them before)\n")
    assert [(lead["f_name"], lead["state"]) for lead in cabinet.kept()] == [
        ("Ada", "PENDING"),
        ("Bob", "PENDING"),
        ("Cy", "PENDING"),
    ]
    assert done.stdout.split() == [str(cabinet.kept()[2]["id"])]


def test_of_two_at_once_each_lead_is_kept_once(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, *(cabinet.row(f"n{n}") for n in range(10)))
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _: office.run("import", file), range(3)))
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len(cabinet.kept()) == 10


def test_rows_that_fail_are_written_down_to_be_mended(office: Office, cabinet: Cabinet) -> None:
    good = cabinet.row("ada")
    (cabinet.directory / "empty.pdf").touch()
    file = cabinet.write(
        HEADER,
        good,
        f"bob@{cabinet.domain},Bob,Old,nowhere.pdf,,",
        f'cy@{cabinet.domain},"Cy ""the\neye""",Old,ada.pdf,,',
        f"dan@{cabinet.domain},,Old,ada.pdf,,",
        f"eve@{cabinet.domain},Eve,Old,ada.pdf,LOST,",
        f"fay@{cabinet.domain},Fay,Old",
        f"gus@{cabinet.domain},Gus,Old,ada.pdf,,,more",
        f"hal@{cabinet.domain},Hal,Old,empty.pdf,,",
        ",,,,,",
        "",
        f"ivy.{cabinet.domain},Ivy,Old,ada.pdf,,",
    )
    done = office.run("import", file)
    assert done.returncode == 3
    *lines, summary = done.stderr.splitlines()
    assert summary == "leadctl: 1 of 9 leads are kept, 8 failed; mend them in old/leads.errors.csv and import that"
    assert [line.partition(": ")[0] for line in lines] == [f"line {n}" for n in (3, 4, 6, 7, 8, 9, 10, 13)]
    errors = cabinet.directory / "leads.errors.csv"
    assert stat.S_IMODE(errors.stat().st_mode) == 0o600
    with errors.open(newline="") as written:
        header, *rows = csv.reader(written)
    assert header == [*HEADER.split(","), "error"]
    assert rows[0][6] == "can't read old/nowhere.pdf: No such file or directory"
    assert rows[1][1] == 'Cy "the\neye"'
    assert [row[6] for row in rows[1:]] == [
        "f_name: must not contain control characters",
        "f_name required",
        "state: 'LOST' is not a state; the states are PENDING, REACHED_OUT, ENGAGED, DECLINED",
        "has 3 cells, where the header has 6",
        "has 7 cells, where the header has 6",
        "old/empty.pdf is empty",
        f"email: 'ivy.{cabinet.domain}' is no address",
    ]
    assert rows[5][7] == "more"

    text = errors.read_text()
    for bad, mended in (("nowhere", "ada"), ("\neye", " eye"), (",,Old", ",Dan,Old"), ("LOST", "ENGAGED")):
        text = text.replace(bad, mended)
    errors.write_text(text)
    again = office.run("import", "old/leads.errors.csv")
    assert again.returncode == 3
    assert "4 of 8 leads are kept, 4 failed; mend them in old/leads.errors.errors.csv" in again.stderr
    with (cabinet.directory / "leads.errors.errors.csv").open(newline="") as written:
        assert next(csv.reader(written)) == header
    assert {lead["f_name"] for lead in cabinet.kept()} == {"Ada", "Bob", 'Cy "the eye"', "Dan", "Eve"}


def test_an_older_file_of_errors_is_set_aside(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, "x,x,x,x,,")
    (cabinet.directory / "leads.errors.csv").write_text("mended, and not yet imported")
    assert office.run("import", file).returncode == 3
    assert (cabinet.directory / "leads.errors.csv~").read_text() == "mended, and not yet imported"
    assert "is no address" in (cabinet.directory / "leads.errors.csv").read_text()


def test_errors_elsewhere_still_find_their_cvs(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, cabinet.row("ada", state="LOST"))
    assert office.run("import", file, "--errors", "to-mend.csv").returncode == 3
    mended = office.home / "to-mend.csv"
    mended.write_text(mended.read_text().replace("LOST", ""))
    assert office.run("import", "to-mend.csv").returncode == 0
    assert len(cabinet.kept()) == 1


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
def test_files_as_spreadsheets_write_them(
    office: Office, cabinet: Cabinet, lines: list[str], encoding: str, options: list[str]
) -> None:
    cabinet.cv("x")
    address = f"zoë@{cabinet.domain}"
    file = cabinet.write(*(line.format(address) for line in lines), encoding=encoding)
    assert office.run("import", file, *options).stderr == "1 of 1 leads are kept\n"
    assert [(lead["email"], lead["f_name"]) for lead in cabinet.kept()] == [(address, "A, B")]


KNOWN = "the columns are email, f_name, l_name, CV, and if wanted state, external_id"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"email,f_name,l_name,CV,phone,fax\n", f": unknown columns 'phone', 'fax'; {KNOWN}"),
        (b"email;f_name;l_name;CV;phone\n", f": unknown columns 'phone'; {KNOWN}"),
        (b"email,f_name,CV\n", f": no column l_name; {KNOWN}"),
        (b"email,f_name,l_name,CV,Email\n", f": a column is there twice; {KNOWN}"),
        (b"", f": no column email, f_name, l_name, CV; {KNOWN}"),
        (b"email,f_name,l_name,CV\na,\xe9,c,d\n", " is not UTF-8; a spreadsheet saves it so as “CSV UTF-8”"),
        (b'email,f_name,l_name,CV\na,b,c,d\na,"b"x,c,d\n', ", line 3: ',' expected after '\"'"),
        (b'email,f_name,l_name,CV\na,"b,c,d\n', ", line 2: unexpected end of data"),
        (b"email,f_name,l_name,CV\n" + b"a" * 200_000, ", line 2: field larger than field limit (131072)"),
    ],
)
def test_a_file_that_can_not_be_read_is_usage_and_nothing_is_sent(stranger: Office, content: bytes, why: str) -> None:
    (stranger.home / "leads.csv").write_bytes(content)
    done = stranger.run("import", "leads.csv")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"leadctl: leads.csv{why}\n")


def test_other_usage(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, cabinet.row("ada"))
    for arguments in (
        ["nowhere.csv"],
        ["old"],
        ["x" * 300],
        [file, "--delimiter", "ab"],
        [file, "--errors", f"old/../{file}"],
    ):
        done = office.run("import", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert cabinet.kept() == []


def test_a_dry_run_accepts_what_the_real_run_accepts_and_saves_nothing(office: Office, cabinet: Cabinet) -> None:
    known = [cabinet.row("zoe", external_id=cabinet.domain), cabinet.row("yan", external_id=f"{cabinet.domain}/y")]
    lead_id = office.data("import", cabinet.write(HEADER, *known)).split()[0]
    (cabinet.directory / "run.pdf").write_bytes(b"MZ" + bytes(100))
    (cabinet.directory / "large.pdf").write_bytes(bytes(11 * 2**20))
    rows = [
        cabinet.row("ada", external_id=f"{cabinet.domain}/1"),
        cabinet.row("bob", external_id=f"{cabinet.domain}/1"),
        "x,x,x,x,,",
        cabinet.row("cy", state="LOST"),
        cabinet.row("dan", external_id=cabinet.domain),
        f"eve@{cabinet.domain},Eve,Old,run.pdf,,",
        f"fay@{cabinet.domain},Fay,Old,large.pdf,,",
        cabinet.row("gus"),
        known[1],
    ]
    file = cabinet.write(HEADER, *rows)
    dry = office.run("import", "--dry-run", file)
    assert [lead["f_name"] for lead in cabinet.kept()] == ["Zoe", "Yan"]
    assert not (cabinet.directory / "leads.errors.csv").exists()
    real = office.run("import", file)
    assert (dry.returncode, real.returncode, dry.stdout) == (3, 3, "")
    *dry_lines, dry_summary = dry.stderr.splitlines()
    *lines, summary = real.stderr.splitlines()
    assert dry_lines == lines
    assert [line.partition(": ")[0] for line in lines] == [f"line {n}" for n in (3, 4, 5, 6, 7, 8)]
    assert f"external_id {cabinet.domain} belongs to lead {lead_id}, zoe@{cabinet.domain}" in lines[3]
    assert dry_summary == "leadctl: dry run: 3 of 9 leads are valid (1 of them before), 6 failed"
    assert summary.startswith("leadctl: 3 of 9 leads are kept (1 of them before), 6 failed; mend them in ")
    assert [lead["f_name"] for lead in cabinet.kept()] == ["Zoe", "Yan", "Ada", "Gus"]
    done = office.run("import", "--dry-run", cabinet.write(HEADER, rows[0]))
    assert (done.returncode, done.stderr) == (0, "dry run: 1 of 1 leads are valid (1 of them before)\n")


def test_a_dry_run_asks_the_server(stranger: Office) -> None:
    cabinet = Cabinet(stranger)
    done = stranger.run("import", "--dry-run", cabinet.write(HEADER, cabinet.row("ada")))
    assert (done.returncode, done.stdout) == (4, "")
    assert "(dry run: 0 of 1 leads are valid)" in done.stderr


def test_an_external_id_that_is_somebody_elses_is_an_error(office: Office, cabinet: Cabinet) -> None:
    [lead_id] = office.data("import", cabinet.write(HEADER, cabinet.row("ada", external_id=cabinet.domain))).split()
    done = office.run("import", cabinet.write(HEADER, cabinet.row("bob", external_id=cabinet.domain)))
    assert done.returncode == 3
    assert f"external_id {cabinet.domain} belongs to lead {lead_id}, ada@{cabinet.domain}\n" in done.stderr


def test_an_answer_that_is_lost_makes_no_second_lead(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, *(cabinet.row(f"n{n}") for n in range(3)))
    with Proxy(office.url, cuts=[0, 0]) as proxy:
        done = office.run("--url", proxy.url, "import", file, LEADCTL_TOKEN=office.token())
    assert done.returncode == 0
    assert done.stderr.count("(trying again)") == 2
    assert "3 of 3 leads are kept" in done.stderr
    assert len(cabinet.kept()) == 3


def test_a_server_that_asks_to_wait_is_waited_for(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, cabinet.row("ada"))
    begun = time.monotonic()
    with Proxy(office.url, answers=[AWAY] * 3) as proxy:
        done = office.run("--url", proxy.url, "import", file, LEADCTL_TOKEN=office.token())
    assert (done.returncode, len(cabinet.kept())) == (0, 1)
    assert time.monotonic() - begun > 3


def test_one_that_stays_away_is_75_and_the_rest_is_imported_later(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, cabinet.row("ada"), "x,x,x,x,,", cabinet.row("bob"), cabinet.row("cy"))
    with Proxy(office.url, answers=[AWAY] * 5) as proxy:
        run = ("--url", proxy.url, "import", file)
        done = office.run(*run, LEADCTL_TOKEN=office.token())
        assert (done.returncode, done.stdout, proxy.answers) == (75, "", [])
        assert "(0 of 4 leads are kept; run it again to go on: no lead is kept twice)\n" in done.stderr
        assert office.run(*run, LEADCTL_TOKEN=office.token()).returncode == 3
    assert len(cabinet.kept()) == 3


def test_who_is_not_logged_in_may_not(stranger: Office) -> None:
    cabinet = Cabinet(stranger)
    done = stranger.run("import", cabinet.write(HEADER, cabinet.row("ada")))
    assert done.returncode == 4
    assert "0 of 1 leads are kept" in done.stderr
    assert not (cabinet.directory / "leads.errors.csv").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_says_how_far_it_came_and_the_next_run_goes_on(
    office: Office, cabinet: Cabinet, number: signal.Signals
) -> None:
    file = cabinet.write(HEADER, "x,x,x,x,,", *(cabinet.row(f"n{n}") for n in range(200)))
    process = subprocess.Popen(
        [LEADCTL, "import", file],
        env=office.environment,
        cwd=office.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    found = re.search(r"^interrupted: (\d+) of 201 leads are kept, 1 failed; run it again to go on", told, re.MULTILINE)
    assert found, told
    assert 5 <= int(found[1]) <= len(cabinet.kept()) <= int(found[1]) + 1 < 200
    assert "is no address" in (cabinet.directory / "leads.errors.csv").read_text()
    assert office.run("import", file).returncode == 3
    assert len(cabinet.kept()) == 200


def test_a_reader_that_leaves_does_not_stop_the_work(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, *(cabinet.row(f"n{n}") for n in range(5)))
    script = f"set -o pipefail; {shlex.quote(LEADCTL)} import {file} | true"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=office.environment, cwd=office.home
    )
    assert (done.returncode, done.stderr) == (0, "5 of 5 leads are kept\n")
    assert len(cabinet.kept()) == 5


def test_errors_that_can_not_be_written_are_told(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, "x,x,x,x,,")
    script = f"ulimit -f 0; {shlex.quote(LEADCTL)} import {file}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=office.environment, cwd=office.home
    )
    account = "(0 of 1 leads are kept; run it again to go on: no lead is kept twice)"
    told = f"leadctl: can't write old/leads.errors.csv: File too large {account}"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, told)


def test_at_a_terminal_a_bar_counts_and_no_ids_are_shown(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, "x,x,x,x,,", *(cabinet.row(f"n{n}") for n in range(30)))
    code, screen = Terminal(office, "import", file, columns=100).end()
    assert code == 3
    assert "Importing leads" in screen
    assert "/31" in screen
    assert "line 2: email: 'x' is no address" in screen
    assert "leadctl: 30 of 31 leads are kept, 1 failed; mend them in old/leads.errors.csv" in screen.splitlines()[-1]


def test_a_cvs_name_is_no_markup(office: Office, cabinet: Cabinet) -> None:
    (cabinet.directory / "[red]x[").write_bytes(bytes(6_000_000))
    file = cabinet.write("email,f_name,l_name,CV", f"ada@{cabinet.domain},Ada,Old,[red]x[")
    code, screen = Terminal(office, "import", file, columns=100).end()
    assert (code, "/6.0 MB" in screen, "1 of 1 leads are kept" in screen) == (0, True, True), screen


def test_what_a_terminal_would_obey_is_shown_and_never_sent(office: Office, cabinet: Cabinet) -> None:
    file = cabinet.write(HEADER, "\x1b[31m[bold]x\u202e,x,x,x,,")
    done = office.run("import", file)
    assert done.returncode == 3
    assert not set(done.stderr) & {"\x1b", "\u202e"}
