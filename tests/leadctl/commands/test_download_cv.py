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
from leadctl.output.cautions import caution
from tests.leadctl.conftest import Client
from tests.leadctl.proxy import Proxy
from tests.system.programs import LEADCTL, Service
from tests.system.terminal import Terminal

CONTENT = bytes(range(256)) * 5000


def test_a_cv_is_saved_as_id_and_name(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="my résumé.pdf")
    (client.home / "cvs").mkdir()
    done = client.run("download-cv", str(lead_id), "-d", "cvs")
    path = client.home / "cvs" / f"{lead_id}-my résumé.pdf"
    assert (done.returncode, done.stdout) == (0, f"cvs/{lead_id}-my résumé.pdf\n")
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_directory_is_created(client: Client) -> None:
    assert client.run("download-cv", "999999", "-d", "new/cvs").returncode == 5
    assert not (client.home / "new").exists()
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    client.data("download-cv", str(lead_id), "-d", "new/cvs")
    assert (client.home / "new/cvs" / f"{lead_id}-x").read_bytes() == CONTENT
    done = client.run("download-cv", str(lead_id), "-d", f"new/cvs/{lead_id}-x")
    assert (done.returncode, done.stderr) == (2, f"leadctl: new/cvs/{lead_id}-x: not a directory\n")
    for flags in ([], ["--force"]):
        done = client.run("download-cv", str(lead_id), "-O", "new", *flags)
        assert (done.returncode, done.stderr) == (2, "leadctl: new is a directory; use -d\n")


def test_nothing_is_overwritten_without_force(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT)
    target = client.home / "mine.pdf"
    target.write_text("mine")
    done = client.run("download-cv", str(lead_id), "-O", "mine.pdf")
    assert done.returncode == 1
    assert "use --force to overwrite it" in done.stderr
    assert target.read_text() == "mine"
    assert client.run("download-cv", str(lead_id), "-O", "mine.pdf", "--force").returncode == 0
    assert target.read_bytes() == CONTENT


def test_to_standard_output(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT)
    done = subprocess.run(
        [LEADCTL, "download-cv", str(lead_id), "-O", "-"], capture_output=True, env=client.environment, cwd=client.home
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, CONTENT, b"")


def test_several_cvs(client: Client) -> None:
    ids = [client.submit(cv=b"a" * (n + 1), cv_name="cv.pdf", f_name="Several") for n in range(2)]
    done = client.run("download-cv", str(ids[0]), "999999", "-", typed=str(ids[1]))
    assert done.returncode == 3
    assert done.stdout.splitlines() == [f"{lead_id}-cv.pdf" for lead_id in ids]
    assert done.stderr.splitlines() == ["999999: there is no lead 999999", "leadctl: 2 of 3 CVs downloaded"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["999999"], 5),
        (["1", "2", "-O", "x"], 2),
        (["x"], 2),
    ],
)
def test_exit_codes(client: Client, arguments: list[str], code: int) -> None:
    done = client.run("download-cv", *arguments)
    assert done.returncode == code
    assert done.stdout == ""


def test_a_full_disk_leaves_no_partial_download(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    (client.home / "cvs").mkdir()
    script = f"ulimit -f 100; {shlex.quote(LEADCTL)} download-cv {lead_id} -d cvs"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=client.environment, cwd=client.home
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"leadctl: can't write cvs/{lead_id}-x: File too large\n"
    assert list((client.home / "cvs").iterdir()) == []


def test_a_named_pipe_is_not_replaced(client: Client) -> None:
    lead_id = client.submit(cv=b"a CV")
    script = f"mkfifo pipe; cat pipe & {shlex.quote(LEADCTL)} download-cv {lead_id} -O pipe; wait; test -p pipe"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=client.environment, cwd=client.home
    )
    assert done.returncode == 0
    assert "a CV" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's pipe")
@pytest.mark.parametrize(
    "arguments",
    [["download-cv", "{id}", "-O", "pipe"], ["import", "leads.csv", "--errors", "pipe"]],
    ids=lambda a: a[0],
)
def test_another_users_pipe_gets_nothing(client: Client, arguments: list[str]) -> None:
    lead_id = client.submit(cv=b"a CV")
    (client.home / "leads.csv").write_text("email,f_name,l_name,CV\nx,x,x,x\n")
    os.mkfifo(client.home / "pipe")
    os.chown(client.home / "pipe", 12_345, 12_345)
    done = client.run(*(argument.format(id=lead_id) for argument in arguments))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "leadctl: pipe is a device, or a pipe of another user; choose another file\n"


@pytest.mark.parametrize("device", ["/dev/full", "/dev/tty"])
def test_a_device_gets_nothing(client: Client, device: str) -> None:
    done = client.run("download-cv", str(client.submit()), "-O", device, "--force")
    assert (done.returncode, "is a device" in done.stderr) == (1, True)


@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("redirect", ["> saved", "| cat > saved"])
def test_dev_stdout_is_standard_output(client: Client, redirect: str, target: str) -> None:
    lead_id = client.submit(cv=CONTENT)
    script = f"{shlex.quote(LEADCTL)} download-cv {lead_id} -O {target} {redirect}"
    subprocess.run(["bash", "-c", script], env=client.environment, cwd=client.home, check=True)
    assert (client.home / "saved").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("options", "path"),
    [
        (["--name", "-foo.pdf"], "_-foo.pdf"),
        (["--name", "{name}"], "_-rf"),
        (["-O", "-x"], "./-x"),
        (["-d", "-y"], None),
    ],
)
def test_no_printed_path_is_an_option(client: Client, options: list[str], path: str | None) -> None:
    lead_id = client.submit(cv_name="-rf")
    assert client.data("download-cv", str(lead_id), *options) == f"{path or f'./-y/{lead_id}-_-rf'}\n"


def test_a_closed_pipe_does_not_stop_the_work(client: Client) -> None:
    ids = [str(client.submit(cv_name="x")) for _ in range(2)]
    script = f"set -o pipefail; {shlex.quote(LEADCTL)} download-cv {' '.join(ids)} | true"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=client.environment, cwd=client.home
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in client.home.glob("*-x")} == {f"{lead_id}-x" for lead_id in ids}


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
        ("-rf", "_-rf"),
        ("x/-rf", "_-rf"),
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
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert os.path.basename(safe) == safe  # noqa: PTH119 - it is text, no path


def part_of(client: Client, lead_id: int, content: bytes) -> Path:
    return client.home / f".leadctl-{lead_id}-{hashlib.sha256(content).hexdigest()}.part"


def test_an_interrupted_download_resumes(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    with Proxy(client.url, cuts=[400_000, 400_000, 200_000]) as proxy:
        done = client.run("--url", proxy.url, "download-cv", str(lead_id), LEADCTL_TOKEN=client.token())
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{lead_id}-x\n", "")
    assert (client.home / f"{lead_id}-x").read_bytes() == CONTENT
    assert proxy.connections == 4
    asked = [int(first) for first in re.findall(rb"\r\nRange: bytes=(\d+)-\r\n", proxy.asked)]
    assert len(asked) == 3
    assert asked == sorted(asked)
    assert 390_000 < asked[0] < 400_000
    assert list(client.home.glob(".leadctl-*")) == []


def test_the_next_run_resumes_after_too_many_interruptions(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    part = part_of(client, lead_id, CONTENT)
    with Proxy(client.url, cuts=[100_000] * 4) as proxy:
        run = ("--url", proxy.url, "download-cv", str(lead_id))
        first = client.run(*run, LEADCTL_TOKEN=client.token())
        assert (first.returncode, first.stdout, first.stderr.count("\n")) == (75, "", 1)
        assert not (client.home / f"{lead_id}-x").exists()
        partial = part.read_bytes()
        assert 390_000 < len(partial) < 400_000
        assert CONTENT.startswith(partial)
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        proxy.asked = b""
        assert client.run(*run, LEADCTL_TOKEN=client.token()).returncode == 0
    assert f"\r\nRange: bytes={len(partial) - 1}-\r\n".encode() in proxy.asked
    assert (client.home / f"{lead_id}-x").read_bytes() == CONTENT
    assert not part.exists()


@pytest.mark.parametrize("there", [len(CONTENT), len(CONTENT) - 1, 1])
def test_a_partial_download_of_any_size_resumes(client: Client, there: int) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    part_of(client, lead_id, CONTENT).write_bytes(CONTENT[:there])
    part_of(client, lead_id, CONTENT).chmod(0o644)
    client.data("download-cv", str(lead_id))
    assert (client.home / f"{lead_id}-x").read_bytes() == CONTENT
    assert stat.S_IMODE((client.home / f"{lead_id}-x").stat().st_mode) == 0o600
    assert list(client.home.glob(".leadctl-*")) == []


@pytest.mark.parametrize("there", [b"?" * 1000, CONTENT + b"more"])
def test_a_damaged_partial_download_is_discarded(client: Client, there: bytes) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    part_of(client, lead_id, CONTENT).write_bytes(there)
    done = client.run("download-cv", str(lead_id))
    assert done.returncode == 1
    assert "its SHA-256 differs" in done.stderr
    assert list(client.home.glob("*-x")) == []
    client.data("download-cv", str(lead_id))
    assert (client.home / f"{lead_id}-x").read_bytes() == CONTENT


def test_a_partial_download_of_another_file_is_not_used(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    other = part_of(client, lead_id, b"another CV of that number")
    other.write_bytes(b"another")
    client.data("download-cv", str(lead_id))
    assert (client.home / f"{lead_id}-x").read_bytes() == CONTENT
    assert other.read_bytes() == b"another"


def test_a_download_resumes_without_range_support(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    with Proxy(client.url, cuts=[400_000]) as proxy:
        proxy.renames = (b"Range: ", b"Other: ")
        client.data("--url", proxy.url, "download-cv", str(lead_id), LEADCTL_TOKEN=client.token())
    assert (client.home / f"{lead_id}-x").read_bytes() == CONTENT


def test_a_download_to_standard_output_resumes(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT)
    with Proxy(client.url, cuts=[400_000, 500_000]) as proxy:
        done = subprocess.run(
            [LEADCTL, "--url", proxy.url, "download-cv", str(lead_id), "-O", "-"],
            capture_output=True,
            env=client.environment | {"LEADCTL_TOKEN": client.token()},
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, CONTENT, b"")


@pytest.mark.parametrize(
    "options", [[], ["-d", "cvs"], ["-O", "cvs/x"], ["--verbose"], ["--name", "{name}"]], ids=" ".join
)
def test_a_partial_download_of_an_erased_lead_is_deleted(client: Client, options: list[str]) -> None:
    (client.home / "cvs").mkdir()
    directory = client.home / ("cvs" if "cvs" in str(options) else "")
    erased, other = (directory / f".leadctl-{lead_id}-{'0' * 64}.part" for lead_id in (999_999, 9_999_990))
    for part in (erased, other):
        part.write_bytes(b"a part of a CV")
    assert client.run("download-cv", "999999", *options).returncode == 5
    assert (erased.exists(), other.exists()) == (False, True)


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_a_link_at_the_partial_file_is_not_followed(client: Client, kind: str) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    victim = client.home / "victim"
    victim.write_text("mine")
    part = part_of(client, lead_id, CONTENT)
    part.symlink_to(victim) if kind == "symlink" else part.hardlink_to(victim)
    client.data("download-cv", str(lead_id))
    assert victim.read_text() == "mine"
    assert (client.home / f"{lead_id}-x").read_bytes() == CONTENT


def test_concurrent_downloads_do_not_share_a_file(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    part = part_of(client, lead_id, CONTENT)
    part.write_bytes(b"what the other has got")
    with part.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = client.run("download-cv", str(lead_id))
    assert (done.returncode, done.stderr) == (
        1,
        "leadctl: another leadctl is downloading this CV to the same directory\n",
    )
    assert part.read_bytes() == b"what the other has got"


def test_a_link_at_the_target_is_replaced(client: Client) -> None:
    lead_id = client.submit(cv=CONTENT, cv_name="x")
    (client.home / "cvs").mkdir()
    victim = client.home / "victim"
    victim.write_text("mine")
    target = client.home / "cvs" / f"{lead_id}-x"
    target.symlink_to(victim)
    assert client.run("download-cv", str(lead_id), "-d", "cvs").returncode == 1
    assert client.run("download-cv", str(lead_id), "-d", "cvs", "--force").returncode == 0
    assert victim.read_text() == "mine"
    assert target.read_bytes() == CONTENT
    assert not target.is_symlink()


def test_template_names(client: Client) -> None:
    lead_id = client.submit(cv_name="my cv.PDF", l_name="../O'Hara\\x")
    template = "{l_name}, {f_name} {{{id}}} {stem}.{state}{ext}"
    name = f".._O'Hara_x, Ada {{{lead_id}}} my cv.PENDING.PDF".lstrip(". ")
    assert client.data("download-cv", str(lead_id), "--name", template) == f"{name}\n"
    assert (client.home / name).is_file()
    assert [path.name for path in client.home.iterdir() if not path.name.startswith(".")] == [name]


@pytest.mark.parametrize(
    "template", ["", "{lost}", "{}", "{0}", "{id", "id}", "{id.__class__}", "{id!r}", "{id:9}", "a/{id}", "{id}\\a"]
)
def test_an_invalid_template_is_a_usage_error(anonymous: Client, template: str) -> None:
    done = anonymous.run("download-cv", "1", "--name", template)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "the fields are {id} {email} {f_name} {l_name} {name} {stem} {ext} {state}" in done.stderr


def test_a_template_with_an_empty_result_is_a_usage_error(client: Client) -> None:
    lead_id = client.submit(cv_name="x")
    done = client.run("download-cv", str(lead_id), "--name", "{ext}")
    assert done.returncode == 2
    assert f"the name for lead {lead_id} is empty" in done.stderr


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_leads_of_one_run_never_share_a_file(client: Client, force: tuple[str, ...]) -> None:
    ids = [client.submit(cv=f"{n}".encode(), f_name="Twin" if n else "TWIN") for n in range(2)]
    done = client.run("download-cv", *map(str, ids), "--name", "{f_name}", *force)
    assert (done.returncode, done.stdout) == (3, "TWIN\n")
    assert f"{ids[1]}: Twin is already the file of lead {ids[0]}; add {{id}} to --name\n" in done.stderr
    assert (client.home / "TWIN").read_bytes() == b"0"


def test_a_large_file_has_a_progress_bar(client: Client) -> None:
    lead_id = client.submit(cv=bytes(6_000_000), cv_name="x")
    code, screen = Terminal(client, "download-cv", str(lead_id), columns=120).end()
    assert code == 0
    assert "Downloading a CV" in screen
    assert "/6.0 MB" in screen
    assert f"{lead_id}-x\n" in screen


def test_data_stays_on_standard_output_during_a_progress_bar(client: Client) -> None:
    ids = [str(client.submit(cv_name="x", email=f"bar{n}@example.com")) for n in range(20)]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [LEADCTL, "download-cv", *ids], stdout=subprocess.PIPE, stderr=slave, env=client.environment, cwd=client.home
    )
    os.close(slave)
    screen = b""
    with suppress(OSError):  # Linux raises it at the end
        while shown := os.read(master, 65536):
            screen += shown
    os.close(master)
    assert process.communicate()[0].decode() == "".join(f"{lead_id}-x\n" for lead_id in ids)
    assert b"Downloading CVs" in screen
    assert b"-x" not in screen


def test_quarantined_cvs_require_force_and_have_a_warning(client: Client, service: Service) -> None:
    lead_id = str(client.submit(cv=CONTENT, cv_name="cv.pdf"))
    clean = str(client.submit(cv_name="cv.pdf"))
    with closing(sqlite3.connect(service.directory / "intake.db")) as database, database:
        values = "flags = 'encrypted,macros', scan_state = 'quarantined', signature = 'Bad\x1b[31m'"
        database.execute(f"UPDATE cv SET {values} WHERE lead_id = ?", [lead_id])
    for extra in ([], ["--force"]):
        refused = client.run("download-cv", lead_id, *extra)
        assert (refused.returncode, refused.stdout) == (6, "")
        assert "is quarantined (Bad\\x1b[31m)" in refused.stderr
        message = "use force to download it anyway (--force-quarantined)"
        assert message in refused.stderr, "--force is for existing files"
    assert list(client.home.glob("*.pdf")) == []
    assert client.data("download-cv", lead_id, "--force-quarantined") == f"{lead_id}-cv.pdf\n"
    assert (client.home / f"{lead_id}-cv.pdf").read_bytes() == CONTENT
    piped = subprocess.run(
        [LEADCTL, "download-cv", lead_id, "-O", "-", "--force-quarantined"], capture_output=True, env=client.environment
    )
    assert piped.stdout == CONTENT
    several = client.run("download-cv", clean, lead_id)
    assert (several.returncode, several.stdout) == (3, f"{clean}-cv.pdf\n")

    shown = client.run("show", lead_id)
    assert "CV_flags\tencrypted,macros\n" in shown.stdout
    assert shown.stderr == "", "a script is not warned"
    warned = client.run("--verbose", "show", lead_id).stderr
    assert (
        "Caution: this CV is infected (Bad\\x1b[31m) and contains password-protected parts, macros and has a name"
        in warned
    )
    _, screen = Terminal(client, "show", lead_id).end()
    assert "\x1b[33m\x1b[1mCaution: this CV" in screen
    assert "Caution" not in client.run("--verbose", "show", clean).stderr


SCRIPT = b"%PDF-1.4\n1 0 obj << /OpenAction 2 0 R >> endobj\n2 0 obj << /S /JavaScript /JS (app.alert(1)) >> endobj\n"


def test_a_download_has_the_cautions_of_show(client: Client) -> None:
    script, renamed = str(client.submit(cv=SCRIPT)), str(client.submit(cv=b"%PDF-1.4 a CV", cv_name="cv.DOCX"))
    caution = "Caution: this CV contains JavaScript that runs when it is opened"
    name = "has a name that ends in .docx, but its type is PDF document"
    for lead_id, text in ((script, caution), (renamed, f"Caution: this CV {name}")):
        for arguments in (["show", lead_id], ["download-cv", lead_id, "--force"]):
            assert client.run("--verbose", *arguments).stderr == f"{text}\n"
            assert text in Terminal(client, *arguments, columns=200).end()[1]
            assert client.run(*arguments).stderr == "", "a script is not warned"
    several = client.run("--verbose", "download-cv", script, renamed, "--force").stderr.splitlines()
    assert several == [
        caution.replace("this CV", f"the CV of lead {script}"),
        f"Caution: the CV of lead {renamed} {name}",
    ]


@pytest.mark.parametrize(
    ("name", "detected", "is_right"),
    [
        ("cv.pdf", "application/pdf", True),
        ("cv.pdf", "application/zip", False),
        ("cv.doc", "application/rtf", True),
        ("cv.md", "text/plain", True),
        ("cv.txt", "image/png", False),
        ("cv.xyz", "image/png", True),
        ("cv", "image/png", True),
        ("cv.JPEG", "image/jpeg", True),
    ],
)
def test_a_name_that_does_not_fit_the_content_has_a_caution(name: str, detected: str, is_right: bool) -> None:
    lead = {"CV_name": name, "CV_detected_type": detected, "CV_flags": "", "CV_scan_state": "clean"}
    assert (caution(lead) is None) == is_right
