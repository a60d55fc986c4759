"""leadctl register-user."""

from tests.leadctl.conftest import PASSWORD, Client
from tests.leadctl.proxy import Proxy


def test_an_administrator_registers_a_user_who_can_log_in(anonymous: Client) -> None:
    anonymous.log_in("harriet")
    done = anonymous.run("register-user", "bunter", "--password-stdin", typed=PASSWORD + "\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "registered bunter\n")
    again = anonymous.run("register-user", "BUNTER", "--password-stdin", typed=PASSWORD)
    assert (again.returncode, again.stderr) == (6, "leadctl: the name 'BUNTER' is taken\n")
    anonymous.log_in("bunter")
    assert "bunter\n" in anonymous.data("whoami")


def test_attorneys_and_anonymous_clients_are_not_allowed(client: Client) -> None:
    assert client.run("register-user", "x", "--password-stdin", typed=PASSWORD).returncode == 4
    client.data("logout")
    assert client.run("register-user", "x", "--password-stdin", typed=PASSWORD).returncode == 4


def test_an_invalid_name_password_or_role_is_a_usage_error(anonymous: Client) -> None:
    anonymous.log_in("harriet")
    done = anonymous.run("register-user", "a b", "--password-stdin", "--role", "king", typed="short")
    assert done.returncode == 2
    assert all(field in done.stderr for field in ("username", "password", "role"))


def test_a_lost_response_says_that_the_user_may_have_been_registered(anonymous: Client) -> None:
    anonymous.log_in("harriet")
    with Proxy(anonymous.url, cuts=[0]) as proxy:
        command = ("--url", proxy.url, "register-user", "bunter.9", "--password-stdin")
        done = anonymous.run(*command, typed=PASSWORD, LEADCTL_TOKEN=anonymous.token())
    assert done.returncode == 75
    assert done.stderr.startswith("bunter.9 may have been registered; to see whether: leadctl users list\n")
    anonymous.log_in("bunter.9")
