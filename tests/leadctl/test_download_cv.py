"""leadctl download-cv."""

import os
import shlex
import stat
import subprocess

import pytest

from leadctl.commands.download_cv import safe_name
from tests.leadctl.conftest import Office
from tests.system.programs import LEADCTL

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
