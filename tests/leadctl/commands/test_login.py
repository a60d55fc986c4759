"""leadctl login, logout and whoami."""

import json
import stat
from pathlib import Path

import pytest

from tests.leadctl.conftest import PASSWORD, Office


def kept_file(office: Office) -> Path:
    [file] = office.home.rglob("credentials.json")
    return file


def test_a_token_is_kept_for_its_owner_alone(stranger: Office) -> None:
    done = stranger.run("login", "-u", "peter", "--password-stdin", typed=PASSWORD + "\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"logged in to {stranger.url} as peter for 30 minutes (profile default)\n"
    file = kept_file(stranger)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()
    assert list(file.parent.iterdir()) == [file]


def test_whoami(office: Office) -> None:
    lines = dict(line.split("\t") for line in office.data("whoami").splitlines())
    assert (lines["username"], lines["role"], lines["url"]) == ("peter", "attorney", office.url)
    assert json.loads(office.data("whoami", "-o", "json"))["username"] == "peter"


def test_logging_out_forgets_the_token(office: Office) -> None:
    office.data("logout")
    assert "access" not in kept_file(office).read_text()
    done = office.run("whoami")
    assert done.returncode == 4
    assert done.stderr == f"leadctl: not logged in to {office.url}; run: leadctl login --profile default\n"
    assert office.run("logout").returncode == 0


def test_a_wrong_password_is_exit_4_and_keeps_the_old_token(office: Office) -> None:
    done = office.run("login", "-u", "peter", "--password-stdin", typed="wrong password")
    assert (done.returncode, done.stderr) == (4, "leadctl: wrong username or password\n")
    assert office.run("whoami").returncode == 0


def test_later_commands_speak_to_the_server_of_the_last_login(office: Office) -> None:
    del office.environment["LEADCTL_URL"]
    assert office.url in office.data("whoami")
    assert office.run("whoami", LEADCTL_URL="http://127.0.0.1:1").returncode == 4
    assert office.run("--url", office.url, "whoami", LEADCTL_URL="http://127.0.0.1:1").returncode == 0


def test_a_token_can_be_given(office: Office) -> None:
    token = json.loads(kept_file(office).read_text())["profiles"]["default"]["token"]
    office.data("logout")
    assert "peter" in office.run("whoami", LEADCTL_TOKEN=token).stdout
    done = office.run("whoami", LEADCTL_TOKEN="stale")
    assert (done.returncode, done.stderr) == (4, "leadctl: the token is not valid; log in again\n")


@pytest.mark.parametrize("arguments", [["login"], ["login", "-u", "peter"]])
def test_nothing_is_asked_where_there_is_no_terminal(stranger: Office, arguments: list[str]) -> None:
    done = stranger.run(*arguments)
    assert done.returncode == 2
    assert "there is no terminal to ask at" in done.stderr


@pytest.mark.parametrize("content", ["", "{", "[]", '{"servers": 3, "last": 4}', '{"servers": {}}'])
def test_a_broken_file_is_made_anew_by_a_login(office: Office, content: str) -> None:
    kept_file(office).write_text(content)
    assert office.run("whoami").returncode == 4
    office.log_in()
    assert office.run("whoami").returncode == 0


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "http://host:port", "http://h?x"])
def test_an_url_that_is_none(stranger: Office, url: str) -> None:
    for done in (stranger.run("--url", url, "list"), stranger.run("list", LEADCTL_URL=url)):
        assert done.returncode == 2
        assert repr(url) in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_server_that_is_away_is_exit_75(stranger: Office) -> None:
    done = stranger.run("--url", "http://127.0.0.1:1", "login", "-u", "x", "--password-stdin", typed="x")
    assert done.returncode == 75
    assert "Is the server up" in done.stderr
    assert done.stderr.count("\n") == 1
