"""leadctl audit."""

import json

import pytest

from tests.leadctl.conftest import Client


@pytest.fixture
def admin(client: Client) -> Client:
    client.log_in("harriet")
    return client


def test_entries_newest_first(admin: Client) -> None:
    admin.data("users", "set-role", "peter", "admin")
    admin.data("users", "set-role", "peter", "attorney")
    lines = admin.data("audit", "--user", "PETER", "--action", "role-change", "-n", "2").splitlines()
    assert [line.split("\t")[2:7] for line in lines] == [
        ["role-change", "harriet", "peter", "", "admin to attorney"],
        ["role-change", "harriet", "peter", "", "attorney to admin"],
    ]
    columns = "action,user,client"
    rows = admin.data("audit", "--since", "1h", "--action", "login", "--columns", columns, "-o", "csv").splitlines()
    assert (rows[0], rows[1]) == (columns, "login,harriet,127.0.0.1")
    ids = [int(text) for text in admin.data("audit", "-o", "ids").splitlines()]
    assert ids == sorted(ids, reverse=True)
    entry = json.loads(admin.data("audit", "-n", "1", "-o", "ndjson"))
    assert list(entry) == ["id", "at", "action", "user", "subject", "lead", "detail", "client", "request_id"]
    assert admin.data("audit", "--until", "2020-01-01", "-o", "json") == "[]\n"
    assert admin.data("audit", "--lead", "999999") == ""


def test_exit_codes(client: Client) -> None:
    assert client.run("audit").returncode == 4, "peter is an attorney"
    client.log_in("harriet")
    nobody = client.run("audit", "--user", "nobody")
    assert (nobody.returncode, nobody.stderr) == (5, "leadctl: there is no user 'nobody'\n")
    assert client.run("audit", "--action", "lost").returncode == 2
    assert "Did you mean 'erasure'? (see leadctl audit --help)" in client.run("audit", "--action", "erase").stderr
    assert client.run("audit", "--since", "tomorrow").returncode == 2


def test_actions_match_the_server(client: Client) -> None:
    from intake.audit import Action as Known
    from leadctl.commands.audit import Action

    assert [action.value for action in Action] == [action.value for action in Known]
