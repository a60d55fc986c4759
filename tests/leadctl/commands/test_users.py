"""leadctl users."""

import json
from pathlib import Path

import pytest

from tests.leadctl.conftest import PASSWORD, Office

NEW = "a new correct horse"


@pytest.fixture
def admin(stranger: Office) -> Office:
    """An administrator who is logged in."""
    stranger.log_in("harriet")
    return stranger


def told(office: Office, *arguments: str, typed: str = "") -> str:
    done = office.run("users", *arguments, typed=typed)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def described(office: Office, username: str) -> list[str]:
    rows = [line.split("\t") for line in office.data("users", "list").splitlines()]
    return next(row for row in rows if row[1] == username)


def test_list(admin: Office) -> None:
    rows = [line.split("\t") for line in admin.data("users", "list").splitlines()]
    assert [row[:4] for row in rows[:2]] == [["1", "harriet", "admin", "no"], ["2", "peter", "attorney", "no"]]
    users = json.loads(admin.data("users", "list", "-o", "json"))
    assert list(users[0]) == ["id", "username", "role", "disabled", "created_at"]
    assert users[0]["disabled"] is False
    assert admin.data("users", "list", "-o", "ids").startswith("1\n2\n")
    assert "harriet" in admin.data("users", "list", "-o", "table")


@pytest.mark.parametrize("name", ["parker", "..", "a.b@firm.example"])
def test_a_users_days(admin: Office, tmp_path: Path, name: str) -> None:
    admin.data("register-user", name, "--password-stdin", typed=PASSWORD)
    # where a user has logged in, only that user's own wrong passwords count
    home = tmp_path / "other"
    home.mkdir()
    Office(admin.url, home).log_in(name)
    assert told(admin, "set-role", name, "admin") == f"{name} is admin\n"
    assert described(admin, name)[2:4] == ["admin", "no"]
    assert told(admin, "disable", name) == f"{name} is disabled, and every login has ended\n"
    assert described(admin, name)[3] == "yes"
    login = ("login", "-u", name, "--password-stdin")
    assert admin.run(*login, typed=PASSWORD).returncode == 4
    assert told(admin, "enable", name) == f"{name} may log in\n"
    assert told(admin, "set-role", name, "attorney") == f"{name} is attorney\n"
    done = told(admin, "reset-password", name, "--password-stdin", typed=f"{NEW}\n")
    assert done == f"{name} has a new password, and every login has ended\n"
    assert admin.run(*login, typed=PASSWORD).returncode == 4
    assert admin.run(*login, typed=NEW).returncode == 0
    assert admin.run("users", "list").returncode == 4, "an attorney now"


def test_the_last_administrator_stays_one(admin: Office) -> None:
    for arguments in (["disable", "harriet"], ["set-role", "HARRIET", "attorney"]):
        done = admin.run("users", *arguments)
        assert done.returncode == 6
        assert "is the last enabled administrator" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["disable", "nobody"], 5),
        (["disable", "a/b"], 5),
        (["disable", "../leads/1"], 5),
        (["disable", "a b?c#d"], 5),
        (["disable", ""], 2),
        (["set-role", "peter", "king"], 2),
        (["reset-password", "peter", "--password-stdin"], 2),
        (["reset-password", "peter"], 2),
        ([], 2),
    ],
)
def test_exit_codes(admin: Office, arguments: list[str], code: int) -> None:
    assert admin.run("users", *arguments, typed="short").returncode == code


def test_ones_own_password_is_changed_and_not_reset(admin: Office) -> None:
    done = admin.run("users", "reset-password", "harriet", "--password-stdin", typed=NEW)
    assert done.returncode == 4
    assert "or leadctl passwd" in done.stderr


def test_it_is_for_administrators(office: Office) -> None:
    for arguments in (["list"], ["disable", "harriet"], ["reset-password", "harriet", "--password-stdin"]):
        done = office.run("users", *arguments, typed=NEW)
        assert (done.returncode, done.stderr) == (4, "leadctl: this is for administrators only\n")
