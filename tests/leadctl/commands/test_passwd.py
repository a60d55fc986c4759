"""leadctl passwd."""

import json

import pytest

from tests.leadctl.commands.test_login import credentials_file
from tests.leadctl.conftest import PASSWORD, Client
from tests.leadctl.proxy import Proxy

NEW = "a new correct horse"


def registered(client: Client, name: str) -> Client:
    """Create a user for the test and log in."""
    client.log_in("harriet")
    client.data("register-user", name, "--password-stdin", typed=PASSWORD)
    client.log_in(name)
    return client


def test_passwd_changes_the_password_and_keeps_the_login(anonymous: Client) -> None:
    client = registered(anonymous, "bunter.1")
    old = json.loads(credentials_file(client).read_text())["profiles"]["default"]["token"]
    done = client.run("passwd", "--password-stdin", typed=f"{PASSWORD}\n{NEW}\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "password changed; your other logins have ended\n"
    assert "bunter.1" in client.data("whoami")
    assert client.run("whoami", LEADCTL_TOKEN=old).returncode == 4
    login = ("login", "-u", "bunter.1", "--password-stdin")
    assert client.run(*login, typed=PASSWORD).returncode == 4
    assert client.run(*login, typed=NEW).returncode == 0


def test_with_an_environment_token_nothing_is_saved(anonymous: Client) -> None:
    client = registered(anonymous, "bunter.2")
    before = credentials_file(client).read_text()
    token = json.loads(before)["profiles"]["default"]["token"]
    done = client.run("passwd", "--password-stdin", typed=f"{PASSWORD}\n{NEW}\n", LEADCTL_TOKEN=token)
    assert (done.returncode, done.stderr) == (0, "password changed; the token in LEADCTL_TOKEN is no longer valid\n")
    assert credentials_file(client).read_text() == before


@pytest.mark.parametrize(
    ("typed", "code", "message"),
    [
        (f"wrong password\n{NEW}\n", 4, "the old password is wrong"),
        (f"{PASSWORD}\nshort\n", 2, "new: must have at least 8 characters"),
        (f"{PASSWORD}\n", 2, "new: must have at least 8 characters"),
    ],
)
def test_a_rejected_password_changes_nothing(client: Client, typed: str, code: int, message: str) -> None:
    done = client.run("passwd", "--password-stdin", typed=typed)
    assert (done.returncode, done.stderr) == (code, f"leadctl: {message}\n")
    assert client.run("whoami").returncode == 0
    client.log_in()


def test_no_prompt_without_a_terminal_or_a_login(client: Client) -> None:
    done = client.run("passwd")
    assert (done.returncode, "can't prompt without a terminal" in done.stderr) == (2, True)
    client.data("logout")
    assert client.run("passwd").returncode == 4


def test_a_lost_response_says_that_the_password_may_have_changed(anonymous: Client) -> None:
    client = registered(anonymous, "bunter.4")
    with Proxy(client.url, cuts=[0]) as proxy:
        passwords = f"{PASSWORD}\n{NEW}\n"
        done = client.run(
            "--url", proxy.url, "passwd", "--password-stdin", typed=passwords, LEADCTL_TOKEN=client.token()
        )
    assert done.returncode == 75
    assert done.stderr.startswith("the password may have been changed: log in with the new one, or if that fails,")
    assert client.run("login", "-u", "bunter.4", "--password-stdin", typed=NEW).returncode == 0
