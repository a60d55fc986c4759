"""leadctl register-user."""

from tests.leadctl.conftest import PASSWORD, Office


def test_an_administrator_registers_a_user_who_can_log_in(stranger: Office) -> None:
    stranger.log_in("harriet")
    done = stranger.run("register-user", "bunter", "--password-stdin", typed=PASSWORD + "\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "registered bunter\n")
    again = stranger.run("register-user", "BUNTER", "--password-stdin", typed=PASSWORD)
    assert (again.returncode, again.stderr) == (6, "leadctl: the name 'BUNTER' is taken\n")
    stranger.log_in("bunter")
    assert "bunter\n" in stranger.data("whoami")


def test_an_attorney_and_a_stranger_are_not_allowed(office: Office) -> None:
    assert office.run("register-user", "x", "--password-stdin", typed=PASSWORD).returncode == 4
    office.data("logout")
    assert office.run("register-user", "x", "--password-stdin", typed=PASSWORD).returncode == 4


def test_a_bad_name_password_or_role_is_usage(stranger: Office) -> None:
    stranger.log_in("harriet")
    done = stranger.run("register-user", "a b", "--password-stdin", "--role", "king", typed="short")
    assert done.returncode == 2
    assert all(field in done.stderr for field in ("username", "password", "role"))
