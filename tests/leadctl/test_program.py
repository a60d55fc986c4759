"""The program as a whole: help, version, usage errors and imports."""

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from leadctl.cli import COMMANDS
from tests.leadctl.conftest import PASSWORD, Client
from tests.system.programs import LEADCTL, clean_environment


def imported(*arguments: str) -> set[str]:
    """Return the modules that a run of leadctl imports."""
    script = "import sys; from leadctl.cli import app\ntry: app()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    return set(done.stderr.split())


def test_version_imports_no_http_client_and_no_tables() -> None:
    modules = imported("--version")
    assert "leadctl.cli" in modules
    assert not {"httpx2", "rich", "ssl", "leadctl.api", "leadctl.http", "leadctl.commands.list_leads"} & modules


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["list"]])
def test_leadctl_never_imports_the_service(arguments: list[str]) -> None:
    modules = imported(*arguments)
    assert not {"intake", "starlette", "sqlalchemy", "pydantic", "alembic"} & modules


def test_version_and_help(anonymous: Client) -> None:
    assert anonymous.data("--version").startswith("leadctl 0.")
    helped = anonymous.data("--help")
    for name in COMMANDS:
        assert f"  {name} " in helped
        assert "Usage: leadctl" in anonymous.data(name, "--help")


@pytest.mark.usefixtures("real_starts")
def test_no_arguments_print_the_help(anonymous: Client) -> None:
    done = anonymous.run()
    assert done.returncode == 2
    assert "Usage: leadctl" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["lost"],
        ["list", "--lost"],
        ["show"],
        ["list", "-n", "0"],
        ["list", "-o", "x"],
        ["completion"],
        ["mail", "lost"],
        ["list", "--email"],
        ["mail", "list", "--state"],
        ["list", "--email", "a@b.example", "--email", "c@d.example"],
        ["list", "-n", "1", "--limit", "1"],
        ["mail", "list", "-o", "ids", "-o", "json"],
    ],
)
def test_usage_errors_are_exit_2(anonymous: Client, arguments: list[str]) -> None:
    done = anonymous.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    command = " ".join(argument for argument in arguments if argument in ("list", "show", "completion", "mail"))
    end = re.escape(f" (see {f'leadctl {command}'.strip()} --help)\n")
    assert re.fullmatch(rf"leadctl: [a-z][^\\\n]*{end}", done.stderr), done.stderr


def test_global_options_may_follow_the_command(client: Client, admin: Client) -> None:
    lead_id = client.submit()
    del client.environment["LEADCTL_URL"]
    for arguments in (
        ["list", "-n", "1", "--url", client.url],
        ["--url", "http://127.0.0.1:1", "list", "--url", client.url],
    ):
        assert str(lead_id) in client.data(*arguments)
    nowhere = client.run("list", "--url=http://127.0.0.1:1", "--profile", "other")
    assert (nowhere.returncode, nowhere.stderr.count("there is no profile other")) == (2, 1)
    for arguments in (["users", "list", "--quiet", "--debug"], ["users", "--debug", "list"]):
        assert "/internal/users" in admin.run(*arguments).stderr
    quiet = client.run("set-state", "ENGAGED", str(lead_id), "--quiet")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "change " in client.run("set-state", "DECLINED", "--verbose", str(lead_id)).stderr


def test_a_commands_own_option_precedes_the_global_one(anonymous: Client) -> None:
    arguments = ("login", "--profile", "mine", "--url", anonymous.url, "-u", "peter", "--password-stdin")
    anonymous.data("--profile", "other", *arguments, typed=PASSWORD)
    assert anonymous.data("profiles", "-o", "ids") == "mine\n"


def test_python_m_leadctl_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "leadctl", "xyz"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "leadctl: no such command 'xyz' (see leadctl --help)\n"


@pytest.mark.parametrize("module", ["typing", "typer"])  # the first import, and a later one
def test_ctrl_c_during_the_imports_is_exit_130(module: str) -> None:
    interrupted = f"""
import sys
class Interrupt:
    def find_spec(self, name, *rest):
        if name == "{module}":
            raise KeyboardInterrupt
sys.modules.pop("{module}", None)
sys.meta_path.insert(0, Interrupt())
from leadctl.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_signal_that_nohup_ignores_does_not_end_the_program(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = subprocess.Popen(
            ["nohup", LEADCTL, "--url", url, "whoami"],
            env=clean_environment(tmp_path, LEADCTL_TOKEN="t"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection, _ = server.accept()
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
        connection.close()


@pytest.mark.parametrize("columns", ["0", "1", "-5", "x", "9" * 5000])
def test_an_absurd_width_is_ignored(tmp_path: Path, columns: str) -> None:
    client = Client("http://127.0.0.1:9", tmp_path)
    file = tmp_path / ".config/leadctl/credentials.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"profiles": {"home": {"url": "https://intake.example.com", "username": "ada"}}}))
    shown = client.data("profiles", "-o", "table", COLUMNS=columns)
    assert shown == client.data("profiles", "-o", "table")
    assert "https://intake.example.com" in shown


@pytest.mark.parametrize("environment", [{"XDG_CONFIG_HOME": "config"}, {"HOME": "", "XDG_CONFIG_HOME": "~/.config"}])
def test_no_file_of_the_working_directory_is_a_profile(tmp_path: Path, environment: dict[str, str]) -> None:
    client = Client("http://127.0.0.1:9", tmp_path)
    for directory in ("config/leadctl", "~/.config/leadctl"):
        (tmp_path / directory).mkdir(parents=True)
        profile = {"url": client.url, "username": "eve", "password_command": "touch run"}
        credentials = {"current": "x", "profiles": {"x": profile}}
        (tmp_path / directory / "credentials.json").write_text(json.dumps(credentials))
    for command in (["list"], ["login", "-u", "ada", "--password-stdin"], ["logout"]):
        done = client.run(*command, typed="secret", **environment)
        assert (done.returncode, done.stderr) == (
            1,
            "leadctl: no home directory is known; set HOME, or XDG_CONFIG_HOME to an absolute path\n",
        )
    assert not (tmp_path / "run").exists()
    assert client.run("list", "--help", **environment).returncode == 0


def test_debug_prints_tracebacks(anonymous: Client) -> None:
    assert "Traceback" not in anonymous.run("list").stderr
    assert "Traceback" in anonymous.run("--debug", "list").stderr


def in_bash(client: Client, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=client.environment, cwd=client.home
    )


@pytest.mark.parametrize("arguments", ["list", "--version", "--help"])
def test_a_full_disk_for_the_output_is_an_error(client: Client, arguments: str) -> None:
    client.submit()
    done = in_bash(client, f"ulimit -f 0; {shlex.quote(LEADCTL)} {arguments} > output")
    assert (done.returncode, done.stderr) == (1, "leadctl: can't write the output: File too large\n")


def test_a_change_whose_results_can_not_be_written_names_its_id(client: Client) -> None:
    lead_id = client.submit()
    done = in_bash(client, f"{shlex.quote(LEADCTL)} set-state -o json ENGAGED {lead_id} > /dev/full")
    [change] = json.loads(client.data("changes", "-n", "1", "-o", "json"))
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        [
            f"change {change['id']}; to undo it: leadctl undo {change['id']}",
            "leadctl: can't write the output: No space left on device",
        ],
    )


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-"])
def test_closed_streams_change_nothing(client: Client, redirection: str) -> None:
    lead_id = client.submit()
    done = in_bash(client, f"{shlex.quote(LEADCTL)} set-state ENGAGED {lead_id} {redirection}")
    assert (done.returncode, done.stdout) == (0, "")
    assert client.state(lead_id) == "ENGAGED"
    assert in_bash(client, f"{shlex.quote(LEADCTL)} login -u peter --password-stdin <&-").returncode == 4


def test_pipes_are_utf_8_in_any_locale(client: Client) -> None:
    client.submit(f_name="太郎")
    shown = client.run("list", "-n", "1", PYTHONIOENCODING="ascii").stdout
    assert "太郎" in shown, "a pipe is UTF-8 whatever the locale says"


@pytest.mark.parametrize(
    ("environment", "arguments", "code"),
    [
        ({"LEADCTL_TOKEN": "a b"}, ["list"], 2),
        ({"LEADCTL_TOKEN": "\u00e9"}, ["list"], 2),
        ({"ALL_PROXY": "socks9://x", "LEADCTL_TOKEN": "x"}, ["--url", "https://intake.invalid", "list"], 1),
        ({"SSL_CERT_FILE": "/nowhere", "LEADCTL_TOKEN": "x"}, ["--url", "https://127.0.0.1:1", "list"], 1),
        ({}, ["--url", "http://x..y", "list"], 2),
        ({}, ["--url", "http://bob:s3cret@127.0.0.1", "list"], 2),
        ({}, ["list", "--since", "999999w"], 2),
        ({}, ["list", "--email", "\udcff"], 2),
        ({}, ["set-state", "X", "0" * 19 + "9" * 5000], 2),
        ({}, ["set-state", "--from", "", "ENGAGED", "1"], 2),
        ({}, ["download-cv", "1", "-O", "x" * 300], 1),
        ({"XDG_CONFIG_HOME": "/dev/null"}, ["list"], 1),
        ({"LEADCTL_URL": "foo"}, ["list", "--help"], 0),
    ],
)
def test_odd_values_are_one_line_errors(
    client: Client, environment: dict[str, str], arguments: list[str], code: int
) -> None:
    client.submit()
    done = client.run(*arguments, **environment)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert "s3cret" not in done.stderr
    assert done.stderr.count("\n") == (code != 0)


def test_an_environment_token_needs_no_credentials_file(client: Client) -> None:
    file = next(client.home.rglob("credentials.json"))
    token = json.loads(file.read_text())["profiles"]["default"]["token"]
    file.unlink()
    file.mkdir()
    assert "peter" in client.run("whoami", LEADCTL_TOKEN=token).stdout
    done = client.run("whoami")
    error = "leadctl: ~/.config/leadctl/credentials.json is not a file; remove it and log in again\n"
    assert (done.returncode, done.stderr) == (1, error)


def test_the_http_client_does_not_read_the_metadata_of_all_packages() -> None:
    script = "import sys, leadctl.http; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "httpx2" in done.stdout.split()
    assert "importlib.metadata" not in done.stdout.split()
