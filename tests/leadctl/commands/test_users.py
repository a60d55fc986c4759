"""leadctl users."""

import json
from pathlib import Path

import pytest

from tests.leadctl.conftest import PASSWORD, Client

NEW = "a new correct horse"


@pytest.fixture
def admin(anonymous: Client) -> Client:
    """A client logged in as an administrator."""
    anonymous.log_in("harriet")
    return anonymous


def output_of(client: Client, *arguments: str, typed: str = "") -> str:
    done = client.run("users", *arguments, typed=typed)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def described(client: Client, username: str) -> list[str]:
    rows = [line.split("\t") for line in client.data("users", "list").splitlines()]
    return next(row for row in rows if row[1] == username)


def test_list(admin: Client) -> None:
    rows = [line.split("\t") for line in admin.data("users", "list").splitlines()]
    assert [row[:4] for row in rows[:2]] == [["1", "harriet", "admin", "no"], ["2", "peter", "attorney", "no"]]
    users = json.loads(admin.data("users", "list", "-o", "json"))
    assert list(users[0]) == ["id", "username", "role", "disabled", "created_at"]
    assert users[0]["disabled"] is False
    assert admin.data("users", "list", "-o", "ids").startswith("1\n2\n")
    assert "harriet" in admin.data("users", "list", "-o", "table")


@pytest.mark.parametrize("name", ["parker", "..", "a.b@firm.example"])
def test_disable_enable_role_and_password_of_a_user(admin: Client, tmp_path: Path, name: str) -> None:
    admin.data("register-user", name, "--password-stdin", typed=PASSWORD)
    # after a login, only the user's own wrong passwords are throttled
    home = tmp_path / "other"
    home.mkdir()
    Client(admin.url, home).log_in(name)
    assert output_of(admin, "set-role", name, "admin") == f"{name} is admin\n"
    assert described(admin, name)[2:4] == ["admin", "no"]
    assert output_of(admin, "disable", name) == f"{name} is disabled; all logins have ended\n"
    assert described(admin, name)[3] == "yes"
    login = ("login", "-u", name, "--password-stdin")
    assert admin.run(*login, typed=PASSWORD).returncode == 4
    assert output_of(admin, "enable", name) == f"{name} is enabled\n"
    assert output_of(admin, "set-role", name, "attorney") == f"{name} is attorney\n"
    done = output_of(admin, "reset-password", name, "--password-stdin", typed=f"{NEW}\n")
    assert done == f"password of {name} changed; all logins have ended\n"
    assert admin.run(*login, typed=PASSWORD).returncode == 4
    assert admin.run(*login, typed=NEW).returncode == 0
    assert admin.run("users", "list").returncode == 4, "the user is now an attorney"


def test_the_last_administrator_can_not_be_removed(admin: Client) -> None:
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
def test_exit_codes(admin: Client, arguments: list[str], code: int) -> None:
    assert admin.run("users", *arguments, typed="short").returncode == code


def test_the_own_password_can_not_be_reset(admin: Client) -> None:
    done = admin.run("users", "reset-password", "harriet", "--password-stdin", typed=NEW)
    assert done.returncode == 4
    assert "or leadctl passwd" in done.stderr


def test_users_is_for_administrators(client: Client) -> None:
    for arguments in (["list"], ["disable", "harriet"], ["reset-password", "harriet", "--password-stdin"]):
        done = client.run("users", *arguments, typed=NEW)
        assert (done.returncode, done.stderr) == (4, "leadctl: this is for administrators only\n")
