"""Programs that are forked from a server behave like programs that a new interpreter runs."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fork_server import ForkingPopen, RealPopen
from tests.system.programs import INTAKE, LEADCTL, clean_environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(subprocess.Popen is not ForkingPopen, reason="all programs are run by a new interpreter"),
]
POPENS = [ForkingPopen, RealPopen]


def is_forked(process: "subprocess.Popen[str]") -> bool:
    return "fork_server.py" in Path(f"/proc/{process.pid}/cmdline").read_text()


def waiting(popen: type["subprocess.Popen[str]"], home: Path, **changes: str) -> "subprocess.Popen[str]":
    """Start a program that reads its standard input."""
    command, pipe = [LEADCTL, "login", "-u", "ada", "--password-stdin"], subprocess.PIPE
    return popen(command, stdin=pipe, stderr=pipe, text=True, env=clean_environment(home, **changes), cwd=home)


@pytest.mark.parametrize("popen", POPENS)
def test_a_program_is_killed_by_its_pid(popen: type["subprocess.Popen[str]"], tmp_path: Path) -> None:
    with waiting(popen, tmp_path) as process:
        assert is_forked(process) == (popen is ForkingPopen)
        process.kill()
        assert process.wait(20) == -signal.SIGKILL


@pytest.mark.parametrize("popen", POPENS)
def test_arguments_environment_streams_and_exit_code(popen: type["subprocess.Popen[str]"], tmp_path: Path) -> None:
    with waiting(popen, tmp_path, LEADCTL_URL="http://127.0.0.1:1") as process:
        _, error = process.communicate("correct horse")
    assert (process.returncode, error.startswith("leadctl: no response from http://127.0.0.1:1")) == (75, True)


@pytest.mark.parametrize("popen", POPENS)
def test_directory_and_umask(popen: type["subprocess.Popen[str]"], tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with popen([INTAKE, "backup", "made"], cwd=tmp_path, env=clean_environment(tmp_path), stderr=-1) as process:
            assert b"there is no database" in process.communicate()[1]
        with popen([INTAKE, "migrate"], cwd=tmp_path, env=clean_environment(tmp_path), stderr=-1) as process:
            process.communicate()
    finally:
        os.umask(before)
    assert process.returncode == 0
    assert (tmp_path / "intake.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("popen", POPENS)
def test_output_that_can_not_be_written_is_an_error(popen: type["subprocess.Popen[str]"], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        process = popen([INTAKE, "--version"], stdout=full, stderr=-1, env=clean_environment(tmp_path))
        assert b"No space left" in process.communicate()[1]
    assert process.returncode != 0


def test_variables_that_the_interpreter_reads_need_a_new_one(tmp_path: Path) -> None:
    with waiting(ForkingPopen, tmp_path, PYTHONIOENCODING="ascii") as process:
        assert not is_forked(process)
        process.kill()
