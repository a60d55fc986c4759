"""The program as a whole: help, version, usage, what it imports."""

import subprocess
import sys

import pytest

from leadctl.cli import COMMANDS
from tests.leadctl.conftest import Office
from tests.system.programs import LEADCTL


def imported(*arguments: str) -> set[str]:
    """Return the modules that a run of leadctl imports."""
    script = "import sys; from leadctl.cli import app\ntry: app()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    return set(done.stderr.split())


def test_the_version_imports_no_http_client_and_no_tables() -> None:
    modules = imported("--version")
    assert "leadctl.cli" in modules
    assert not {"httpx2", "rich", "ssl", "leadctl.api", "leadctl.commands.list_leads"} & modules


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["list"]])
def test_it_never_imports_the_service(arguments: list[str]) -> None:
    modules = imported(*arguments)
    assert not {"intake", "starlette", "sqlalchemy", "pydantic", "alembic"} & modules


def test_version_and_help(stranger: Office) -> None:
    assert stranger.data("--version").startswith("leadctl 0.")
    helped = stranger.data("--help")
    for name in COMMANDS:
        assert f"  {name} " in helped
        assert "Usage: leadctl" in stranger.data(name, "--help")


def test_no_arguments_show_the_help(stranger: Office) -> None:
    done = stranger.run()
    assert done.returncode == 2
    assert "Usage: leadctl" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["lost"], ["list", "--lost"], ["show"], ["list", "-n", "0"], ["list", "-o", "x"]]
)
def test_usage_is_exit_2(stranger: Office, arguments: list[str]) -> None:
    done = stranger.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error" in done.stderr


def test_debug_shows_where_an_error_came_from(stranger: Office) -> None:
    assert "Traceback" not in stranger.run("list").stderr
    assert "Traceback" in stranger.run("--debug", "list").stderr


def test_a_full_disk_under_standard_output_is_told(office: Office) -> None:
    office.submit()
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([LEADCTL, "list"], stdout=full, stderr=subprocess.PIPE, text=True, env=office.environment)
    assert done.returncode == 1
    assert done.stderr == "leadctl: can't write the output: No space left on device\n"


def test_closed_streams_are_no_traceback(office: Office) -> None:
    for redirection in ("<&-", ">&-", "2>&-"):
        done = subprocess.run(
            ["bash", "-c", f"{LEADCTL} list -n 1 {redirection}"], capture_output=True, text=True, env=office.environment
        )
        assert "Traceback" not in done.stderr
