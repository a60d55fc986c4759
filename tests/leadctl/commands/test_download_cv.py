"""leadctl download-cv."""

import fcntl
import hashlib
import os
import pty
import re
import shlex
import sqlite3
import stat
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest

from leadctl.files.filenames import safe_name
from tests.leadctl.conftest import Office
from tests.leadctl.proxy import Proxy
from tests.system.programs import LEADCTL, Service
from tests.system.test_terminal import Terminal

CONTENT = bytes(range(256)) * 5000


def test_a_cv_comes_as_id_and_name_and_its_path_is_printed(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="my résumé.pdf")
    (office.home / "cvs").mkdir()
    done = office.run("download-cv", str(lead_id), "-d", "cvs")
    path = office.home / "cvs" / f"{lead_id}-my résumé.pdf"
    assert (done.returncode, done.stdout) == (0, f"cvs/{lead_id}-my résumé.pdf\n")
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_overwritten_without_force(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT)
    target = office.home / "mine.pdf"
    target.write_text("mine")
    done = office.run("download-cv", str(lead_id), "-O", "mine.pdf")
    assert done.returncode == 1
    assert "overwrite it with --force" in done.stderr
    assert target.read_text() == "mine"
    assert office.run("download-cv", str(lead_id), "-O", "mine.pdf", "--force").returncode == 0
    assert target.read_bytes() == CONTENT


def test_to_standard_output(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT)
    done = subprocess.run(
        [LEADCTL, "download-cv", str(lead_id), "-O", "-"], capture_output=True, env=office.environment, cwd=office.home
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, CONTENT, b"")


def test_several(office: Office) -> None:
    ids = [office.submit(cv=b"a" * (n + 1), cv_name="cv.pdf", f_name="Several") for n in range(2)]
    done = office.run("download-cv", str(ids[0]), "999999", "-", typed=str(ids[1]))
    assert done.returncode == 3
    assert done.stdout.splitlines() == [f"{lead_id}-cv.pdf" for lead_id in ids]
    assert done.stderr.splitlines() == ["999999: there is no lead 999999", "leadctl: 2 of 3 CVs were fetched"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["999999"], 5),
        (["1", "2", "-O", "x"], 2),
        (["1", "-d", "nowhere"], 2),
        (["x"], 2),
    ],
)
def test_exit_codes(office: Office, arguments: list[str], code: int) -> None:
    done = office.run("download-cv", *arguments)
    assert done.returncode == code
    assert done.stdout == ""


def test_a_disk_without_room_is_told_and_leaves_nothing(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    (office.home / "cvs").mkdir()
    script = f"ulimit -f 100; {shlex.quote(LEADCTL)} download-cv {lead_id} -d cvs"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=office.environment, cwd=office.home
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"leadctl: can't write cvs/{lead_id}-x: File too large\n"
    assert list((office.home / "cvs").iterdir()) == []


def test_a_pipe_is_written_into_and_not_replaced(office: Office) -> None:
    lead_id = office.submit(cv=b"a CV")
    script = f"mkfifo pipe; cat pipe & {shlex.quote(LEADCTL)} download-cv {lead_id} -O pipe; wait; test -p pipe"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=office.environment, cwd=office.home
    )
    assert done.returncode == 0
    assert "a CV" in done.stdout


def test_a_reader_that_leaves_does_not_stop_the_work(office: Office) -> None:
    ids = [str(office.submit(cv_name="x")) for _ in range(2)]
    script = f"set -o pipefail; {shlex.quote(LEADCTL)} download-cv {' '.join(ids)} | true"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=office.environment, cwd=office.home
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in office.home.glob("*-x")} == {f"{lead_id}-x" for lead_id in ids}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cv.pdf", "cv.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("", "_"),
        (".", "_"),
        ("...", "_"),
        (" . ", "_"),
        ("-rf", "-rf"),
        ("a\x1b[31m\nb.pdf", "a_[31m_b.pdf"),
        ("\u202efdp.exe", "_fdp.exe"),
        ("cv.pdf\u3164\u2800.exe", "cv.pdf__.exe"),
        ('a<b>:"|?*.pdf', "a_b______.pdf"),
        ("NUL", "_NUL"),
        ("com1.txt", "_com1.txt"),
        ("山" * 100 + ".pdf", "山" * 65 + ".pdf"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_name_is_only_a_hint(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert os.path.basename(safe) == safe  # noqa: PTH119 - it is text, no path


def part_of(office: Office, lead_id: int, content: bytes) -> Path:
    return office.home / f".leadctl-{lead_id}-{hashlib.sha256(content).hexdigest()}.part"


def test_what_breaks_off_is_gone_on_with_at_once(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    with Proxy(office.url, cuts=[400_000, 400_000, 200_000]) as proxy:
        done = office.run("--url", proxy.url, "download-cv", str(lead_id), LEADCTL_TOKEN=office.token())
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{lead_id}-x\n", "")
    assert (office.home / f"{lead_id}-x").read_bytes() == CONTENT
    assert proxy.connections == 4
    asked = [int(first) for first in re.findall(rb"\r\nRange: bytes=(\d+)-\r\n", proxy.asked)]
    assert len(asked) == 3
    assert asked == sorted(asked)
    assert 390_000 < asked[0] < 400_000
    assert list(office.home.glob(".leadctl-*")) == []


def test_after_too_many_times_the_next_run_goes_on(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    part = part_of(office, lead_id, CONTENT)
    with Proxy(office.url, cuts=[100_000] * 4) as proxy:
        run = ("--url", proxy.url, "download-cv", str(lead_id))
        first = office.run(*run, LEADCTL_TOKEN=office.token())
        assert (first.returncode, first.stdout, first.stderr.count("\n")) == (75, "", 1)
        assert not (office.home / f"{lead_id}-x").exists()
        kept = part.read_bytes()
        assert 390_000 < len(kept) < 400_000
        assert CONTENT.startswith(kept)
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        proxy.asked = b""
        assert office.run(*run, LEADCTL_TOKEN=office.token()).returncode == 0
    assert f"\r\nRange: bytes={len(kept) - 1}-\r\n".encode() in proxy.asked
    assert (office.home / f"{lead_id}-x").read_bytes() == CONTENT
    assert not part.exists()


@pytest.mark.parametrize("there", [len(CONTENT), len(CONTENT) - 1, 1])
def test_whatever_is_there_is_gone_on_with(office: Office, there: int) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    part_of(office, lead_id, CONTENT).write_bytes(CONTENT[:there])
    office.data("download-cv", str(lead_id))
    assert (office.home / f"{lead_id}-x").read_bytes() == CONTENT
    assert list(office.home.glob(".leadctl-*")) == []


@pytest.mark.parametrize("there", [b"?" * 1000, CONTENT + b"more"])
def test_what_is_there_and_spoilt_is_found_out_and_begun_anew(office: Office, there: bytes) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    part_of(office, lead_id, CONTENT).write_bytes(there)
    done = office.run("download-cv", str(lead_id))
    assert done.returncode == 1
    assert "its SHA-256 differs" in done.stderr
    assert list(office.home.glob("*-x")) == []
    office.data("download-cv", str(lead_id))
    assert (office.home / f"{lead_id}-x").read_bytes() == CONTENT


def test_another_files_part_is_not_gone_on_with(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    other = part_of(office, lead_id, b"another CV of that number")
    other.write_bytes(b"another")
    office.data("download-cv", str(lead_id))
    assert (office.home / f"{lead_id}-x").read_bytes() == CONTENT
    assert other.read_bytes() == b"another"


def test_a_server_without_ranges_is_read_past_what_is_there(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    with Proxy(office.url, cuts=[400_000]) as proxy:
        proxy.renames = (b"Range: ", b"Other: ")
        office.data("--url", proxy.url, "download-cv", str(lead_id), LEADCTL_TOKEN=office.token())
    assert (office.home / f"{lead_id}-x").read_bytes() == CONTENT


def test_standard_output_is_gone_on_with_too(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT)
    with Proxy(office.url, cuts=[400_000, 500_000]) as proxy:
        done = subprocess.run(
            [LEADCTL, "--url", proxy.url, "download-cv", str(lead_id), "-O", "-"],
            capture_output=True,
            env=office.environment | {"LEADCTL_TOKEN": office.token()},
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, CONTENT, b"")


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_a_link_in_the_parts_place_is_not_followed(office: Office, kind: str) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    victim = office.home / "victim"
    victim.write_text("mine")
    part = part_of(office, lead_id, CONTENT)
    part.symlink_to(victim) if kind == "symlink" else part.hardlink_to(victim)
    office.data("download-cv", str(lead_id))
    assert victim.read_text() == "mine"
    assert (office.home / f"{lead_id}-x").read_bytes() == CONTENT


def test_two_at_once_do_not_write_into_one_file(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    part = part_of(office, lead_id, CONTENT)
    part.write_bytes(b"what the other has got")
    with part.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = office.run("download-cv", str(lead_id))
    assert (done.returncode, done.stderr) == (
        1,
        "leadctl: another leadctl is fetching this CV to the same place\n",
    )
    assert part.read_bytes() == b"what the other has got"


def test_a_link_in_the_targets_place_is_replaced_and_not_followed(office: Office) -> None:
    lead_id = office.submit(cv=CONTENT, cv_name="x")
    (office.home / "cvs").mkdir()
    victim = office.home / "victim"
    victim.write_text("mine")
    target = office.home / "cvs" / f"{lead_id}-x"
    target.symlink_to(victim)
    assert office.run("download-cv", str(lead_id), "-d", "cvs").returncode == 1
    assert office.run("download-cv", str(lead_id), "-d", "cvs", "--force").returncode == 0
    assert victim.read_text() == "mine"
    assert target.read_bytes() == CONTENT
    assert not target.is_symlink()


def test_names_by_a_template(office: Office) -> None:
    lead_id = office.submit(cv_name="my cv.PDF", l_name="../O'Hara\\x")
    template = "{l_name}, {f_name} {{{id}}} {stem}.{state}{ext}"
    name = f".._O'Hara_x, Ada {{{lead_id}}} my cv.PENDING.PDF".lstrip(". ")
    assert office.data("download-cv", str(lead_id), "--name", template) == f"{name}\n"
    assert (office.home / name).is_file()
    assert [path.name for path in office.home.iterdir() if not path.name.startswith(".")] == [name]


@pytest.mark.parametrize(
    "template", ["", "{lost}", "{}", "{0}", "{id", "id}", "{id.__class__}", "{id!r}", "{id:9}", "a/{id}", "{id}\\a"]
)
def test_a_template_that_can_not_be_used_is_usage(stranger: Office, template: str) -> None:
    done = stranger.run("download-cv", "1", "--name", template)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "the fields are {id} {email} {f_name} {l_name} {name} {stem} {ext} {state}" in done.stderr


def test_a_template_that_gives_no_name_is_usage(office: Office) -> None:
    lead_id = office.submit(cv_name="x")
    done = office.run("download-cv", str(lead_id), "--name", "{ext}")
    assert done.returncode == 2
    assert f"gives lead {lead_id} no name" in done.stderr


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_two_of_a_run_never_share_a_name(office: Office, force: tuple[str, ...]) -> None:
    ids = [office.submit(cv=f"{n}".encode(), f_name="Twin" if n else "TWIN") for n in range(2)]
    done = office.run("download-cv", *map(str, ids), "--name", "{f_name}", *force)
    assert (done.returncode, done.stdout) == (3, "TWIN\n")
    assert f"{ids[1]}: Twin is the name of lead {ids[0]}'s CV already; put {{id}} into --name\n" in done.stderr
    assert (office.home / "TWIN").read_bytes() == b"0"


def test_a_bar_of_bytes_for_a_large_file(office: Office) -> None:
    lead_id = office.submit(cv=bytes(6_000_000), cv_name="x")
    code, screen = Terminal(office, "download-cv", str(lead_id), columns=120).end()
    assert code == 0
    assert "Fetching a CV" in screen
    assert "/6.0 MB" in screen
    assert f"{lead_id}-x\n" in screen


def test_data_stays_on_standard_output_while_a_bar_runs(office: Office) -> None:
    ids = [str(office.submit(cv_name="x", email=f"bar{n}@example.com")) for n in range(20)]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [LEADCTL, "download-cv", *ids], stdout=subprocess.PIPE, stderr=slave, env=office.environment, cwd=office.home
    )
    os.close(slave)
    screen = b""
    with suppress(OSError):  # Linux says so at the end
        while shown := os.read(master, 65536):
            screen += shown
    os.close(master)
    assert process.communicate()[0].decode() == "".join(f"{lead_id}-x\n" for lead_id in ids)
    assert b"Fetching CVs" in screen
    assert b"-x" not in screen


def test_what_is_quarantined_comes_only_by_force_and_is_warned_of(office: Office, service: Service) -> None:
    lead_id = str(office.submit(cv=CONTENT, cv_name="cv.pdf"))
    clean = str(office.submit(cv_name="cv.pdf"))
    with closing(sqlite3.connect(service.directory / "intake.db")) as database, database:
        values = "flags = 'encrypted,macros', scan_state = 'quarantined', signature = 'Bad\x1b[31m'"
        database.execute(f"UPDATE cv SET {values} WHERE lead_id = ?", [lead_id])
    for extra in ([], ["--force"]):
        refused = office.run("download-cv", lead_id, *extra)
        assert (refused.returncode, refused.stdout) == (6, "")
        assert "is quarantined (Bad\\x1b[31m)" in refused.stderr
        told = "use force to download it anyway (--force-quarantined)"
        assert told in refused.stderr, "--force is for files that are there"
    assert list(office.home.glob("*.pdf")) == []
    assert office.data("download-cv", lead_id, "--force-quarantined") == f"{lead_id}-cv.pdf\n"
    assert (office.home / f"{lead_id}-cv.pdf").read_bytes() == CONTENT
    piped = subprocess.run(
        [LEADCTL, "download-cv", lead_id, "-O", "-", "--force-quarantined"], capture_output=True, env=office.environment
    )
    assert piped.stdout == CONTENT
    several = office.run("download-cv", clean, lead_id)
    assert (several.returncode, several.stdout) == (3, f"{clean}-cv.pdf\n")

    shown = office.run("show", lead_id)
    assert "CV_flags\tencrypted,macros\n" in shown.stdout
    assert shown.stderr == "", "a script is not warned"
    warned = office.run("--verbose", "show", lead_id).stderr
    assert "Beware of this CV: the virus scanner found Bad\\x1b[31m in it; it has encrypted,macros.\n" in warned
    _, screen = Terminal(office, "show", lead_id).end()
    assert "\x1b[33m\x1b[1mBeware of this CV" in screen
    assert "Beware" not in office.run("--verbose", "show", clean).stderr
