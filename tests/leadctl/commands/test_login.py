"""leadctl login, logout and whoami."""

import json
import stat
from pathlib import Path

import pytest

from intake.users import tokens
from leadctl.configuration import session
from tests.leadctl.conftest import PASSWORD, Client


def credentials_file(client: Client) -> Path:
    [file] = client.home.rglob("credentials.json")
    return file


def test_the_credentials_file_has_mode_0600(anonymous: Client) -> None:
    done = anonymous.run("login", "-u", "peter", "--password-stdin", typed=PASSWORD + "\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        f"logged in to {anonymous.url} as peter (profile default);"
        " valid for 30 minutes, and commands renew it for up to 12 hours\n"
    )
    assert session.SESSION_S == tokens.SESSION_S
    file = credentials_file(anonymous)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()
    assert {one.name for one in file.parent.iterdir()} == {"credentials.json", "credentials.lock"}


def test_whoami(client: Client) -> None:
    lines = dict(line.split("\t") for line in client.data("whoami").splitlines())
    assert (lines["username"], lines["role"], lines["url"]) == ("peter", "attorney", client.url)
    assert json.loads(client.data("whoami", "-o", "json"))["username"] == "peter"


def test_logging_out_deletes_the_token(client: Client) -> None:
    client.data("logout")
    assert "access" not in credentials_file(client).read_text()
    done = client.run("whoami")
    assert done.returncode == 4
    assert done.stderr == f"leadctl: not logged in to {client.url}; run: leadctl login --profile default\n"
    assert client.run("logout").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--url", "https://intake.example.com:443"], {}, "for https://intake.example.com:443. Select one"),
        ([], {"LEADCTL_URL": "https://intake.example.com", "LEADCTL_TOKEN": "t"}, "LEADCTL_TOKEN is not stored: unset"),
    ],
)
def test_a_logout_that_removes_nothing_is_exit_4(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    client = Client("", tmp_path)
    file = tmp_path / ".config/leadctl/credentials.json"
    file.parent.mkdir(parents=True)
    profile = {"url": "https://intake.example.com", "username": "ada", "token": "t"}
    file.write_text(json.dumps({"current": "home", "profiles": {"home": profile}}))
    before = file.read_text()
    for remove in ([], ["--remove"]):
        done = client.run(*arguments, "logout", *remove, **environment)
        assert (done.returncode, file.read_text()) == (4, before)
        assert done.stderr.startswith("leadctl: nothing was removed: no profile is selected for https://")
        assert said in done.stderr
    done = client.run("logout", LEADCTL_TOKEN="t")
    assert done.stderr == (
        "logged out of https://intake.example.com (profile home)\n"
        "LEADCTL_TOKEN is still set; commands use it until you unset it\n"
    )
    done = client.run("logout")
    said = "profile home is not logged in to https://intake.example.com; nothing was removed\n"
    assert (done.returncode, done.stderr) == (0, said)
    assert client.run("logout", "--remove").stderr == "removed profile home, for https://intake.example.com\n"
    assert json.loads(file.read_text())["profiles"] == {}


def test_a_wrong_password_is_exit_4_and_keeps_the_old_token(client: Client) -> None:
    done = client.run("login", "-u", "peter", "--password-stdin", typed="wrong password")
    assert (done.returncode, done.stderr) == (4, "leadctl: wrong username or password\n")
    assert client.run("whoami").returncode == 0


def test_commands_use_the_server_of_the_last_login(client: Client) -> None:
    del client.environment["LEADCTL_URL"]
    assert client.url in client.data("whoami")
    assert client.run("whoami", LEADCTL_URL="http://127.0.0.1:1").returncode == 4
    for url in (client.url, client.url.removeprefix("http://")):
        assert client.run("--url", url, "whoami", LEADCTL_URL="http://127.0.0.1:1").returncode == 0


def test_an_environment_token_is_used(client: Client) -> None:
    token = json.loads(credentials_file(client).read_text())["profiles"]["default"]["token"]
    client.data("logout")
    assert "peter" in client.run("whoami", LEADCTL_TOKEN=token).stdout
    done = client.run("whoami", LEADCTL_TOKEN="stale")
    assert (done.returncode, done.stderr) == (4, "leadctl: the token in LEADCTL_TOKEN is not valid\n")


@pytest.mark.parametrize("arguments", [["login"], ["login", "-u", "peter"]])
def test_no_prompt_without_a_terminal(anonymous: Client, arguments: list[str]) -> None:
    done = anonymous.run(*arguments)
    assert done.returncode == 2
    assert "can't prompt without a terminal" in done.stderr


@pytest.mark.parametrize("url", ["http:/host", "ftp://host", "http://", "http://host:port", "http://h?x"])
def test_an_invalid_url_is_a_usage_error(anonymous: Client, url: str) -> None:
    for done in (anonymous.run("--url", url, "list"), anonymous.run("list", LEADCTL_URL=url)):
        assert done.returncode == 2
        assert repr(url) in done.stderr
        assert done.stderr.count("\n") == 1


def test_an_unavailable_server_is_exit_75(anonymous: Client) -> None:
    done = anonymous.run("--url", "http://127.0.0.1:1", "login", "-u", "x", "--password-stdin", typed="x")
    assert done.returncode == 75
    assert "Is the server running" in done.stderr
    assert done.stderr.count("\n") == 1
