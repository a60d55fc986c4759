"""leadctl passwd."""

import json

import pytest

from tests.leadctl.commands.test_login import kept_file
from tests.leadctl.conftest import PASSWORD, Office

NEW = "a new correct horse"


def registered(office: Office, name: str) -> Office:
    """Make a user of the test's own and log in."""
    office.log_in("harriet")
    office.data("register-user", name, "--password-stdin", typed=PASSWORD)
    office.log_in(name)
    return office


def test_the_new_one_counts_and_one_stays_logged_in(stranger: Office) -> None:
    office = registered(stranger, "bunter.1")
    old = json.loads(kept_file(office).read_text())["profiles"]["default"]["token"]
    done = office.run("passwd", "--password-stdin", typed=f"{PASSWORD}\n{NEW}\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "your password is changed, and every other login of yours has ended\n"
    assert "bunter.1" in office.data("whoami")
    assert office.run("whoami", LEADCTL_TOKEN=old).returncode == 4
    login = ("login", "-u", "bunter.1", "--password-stdin")
    assert office.run(*login, typed=PASSWORD).returncode == 4
    assert office.run(*login, typed=NEW).returncode == 0


def test_with_a_given_token_nothing_is_kept(stranger: Office) -> None:
    office = registered(stranger, "bunter.2")
    before = kept_file(office).read_text()
    token = json.loads(before)["profiles"]["default"]["token"]
    done = office.run("passwd", "--password-stdin", typed=f"{PASSWORD}\n{NEW}\n", LEADCTL_TOKEN=token)
    assert (done.returncode, done.stderr) == (0, "your password is changed; the token in LEADCTL_TOKEN has ended\n")
    assert kept_file(office).read_text() == before


@pytest.mark.parametrize(
    ("typed", "code", "told"),
    [
        (f"wrong password\n{NEW}\n", 4, "the old password is wrong"),
        (f"{PASSWORD}\nshort\n", 2, "new: must have at least 8 characters"),
        (f"{PASSWORD}\n", 2, "new: must have at least 8 characters"),
    ],
)
def test_what_is_refused_changes_nothing(office: Office, typed: str, code: int, told: str) -> None:
    done = office.run("passwd", "--password-stdin", typed=typed)
    assert (done.returncode, done.stderr) == (code, f"leadctl: {told}\n")
    assert office.run("whoami").returncode == 0
    office.log_in()


def test_nothing_is_asked_where_there_is_no_terminal_or_no_login(office: Office) -> None:
    done = office.run("passwd")
    assert (done.returncode, "there is no terminal to ask at" in done.stderr) == (2, True)
    office.data("logout")
    assert office.run("passwd").returncode == 4
