"""leadctl passwd."""

import fcntl
import json
import signal
import subprocess
import time

import pytest

from tests.leadctl.commands.test_login import credentials_file
from tests.leadctl.conftest import PASSWORD, Client
from tests.leadctl.proxy import Proxy
from tests.system.programs import LEADCTL

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
        (f"{PASSWORD}\nshort\n", 2, "the new password must have at least 8 characters"),
        (f"{PASSWORD}\n", 2, "the new password must have at least 8 characters"),
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


def test_a_password_that_changed_is_a_success_even_if_the_token_is_not_saved(anonymous: Client) -> None:
    client = registered(anonymous, "bunter.5")
    lock = credentials_file(client).with_suffix(".lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = client.run("--quiet", "passwd", "--password-stdin", typed=f"{PASSWORD}\n{NEW}\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "password changed; only the new token is not saved: another leadctl holds ~/.config/leadctl/credentials.lock;"
        " end it and try again. Log in with the new password\n"
    )
    assert client.run("whoami").returncode == 4
    assert client.run("login", "-u", "bunter.5", "--password-stdin", typed=NEW).returncode == 0


def test_ctrl_c_while_the_token_is_saved_says_that_the_password_changed(anonymous: Client) -> None:
    client = registered(anonymous, "bunter.6")
    with credentials_file(client).with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [LEADCTL, "passwd", "--password-stdin"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=client.environment,
        )
        assert process.stdin
        process.stdin.write(f"{PASSWORD}\n{NEW}\n")
        process.stdin.flush()
        login = ("login", "-u", "bunter.6", "--password-stdin", "--profile", "probe")
        while client.run("whoami").returncode == 0:
            pass  # the old token is valid until the password has changed
        time.sleep(1)  # the response follows at once, and the wait for the lock takes 10 s
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == (
            "password changed; only the new token is not saved. Log in with the new password\n"
        )
    assert process.returncode == 130
    assert client.run(*login, typed=NEW).returncode == 0
