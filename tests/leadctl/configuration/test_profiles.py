"""Profiles: resolution, storage, token renewal and password commands."""

import json
import os
import re
import shlex
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from intake.users.tokens import Claims, TokenSigner
from leadctl.configuration import credentials
from leadctl.configuration.credentials import Credentials, Profile
from leadctl.configuration.session import run_password_command
from leadctl.context import format_time_left
from leadctl.errors import LeadctlError, PermissionDenied
from leadctl.output.formats import OutputFormat
from tests.leadctl.commands.test_login import credentials_file
from tests.leadctl.conftest import PASSWORD, Client
from tests.leadctl.test_program import in_bash
from tests.system.programs import LEADCTL, Service

ELSEWHERE = "http://127.0.0.1:1"


def stored_credentials(client: Client) -> Any:
    return json.loads(credentials_file(client).read_text())


def edit(client: Client, section: str, key: str, **values: object) -> None:
    """Change a stored profile."""
    content = stored_credentials(client)
    content[section][key] |= values
    credentials_file(client).write_text(json.dumps(content))


def whoami(client: Client, *flags: str, **environment: str) -> dict[str, str]:
    done = client.run(*flags, "whoami", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(line.split("\t") for line in done.stdout.splitlines())


def cron(client: Client, command: str = f"echo {PASSWORD!r}") -> None:
    """Log in to a profile with a password command."""
    client.data("login", "--profile", "cron", "-u", "peter", "--password-command", command)


@pytest.fixture
def both(client: Client) -> Client:
    """A client with the profiles `peters`, of the service, and `lost`, of an unavailable server."""
    client.data("login", "--profile", "peters", "-u", "peter", "--password-stdin", typed=PASSWORD)
    content = stored_credentials(client)
    content["profiles"]["lost"] = {"url": ELSEWHERE, "username": "harriet", "token": "x", "expires_at": 1}
    credentials_file(client).write_text(json.dumps(content))
    return client


def token_of(service: Service, user_id: int, *, login_s_ago: int) -> str:
    """Return a token of a login so long ago, of a user created before."""
    with closing(sqlite3.connect(Path(service.directory) / "intake.db")) as database:
        database.execute("UPDATE user_account SET created_at = '2026-01-01 00:00:00.000000'")
        database.commit()
    secret = (Path(service.directory) / "intake.db.secret").read_text()
    return TokenSigner([secret]).encode(Claims(user_id, int(time.time()) - login_s_ago, 0))


def test_a_profile_stores_server_and_user(anonymous: Client) -> None:
    del anonymous.environment["LEADCTL_URL"]
    arguments = ("login", "--profile", "prod", "--url", anonymous.url, "-u", "peter", "--password-stdin")
    done = anonymous.run(*arguments, typed=PASSWORD)
    assert done.returncode == 0
    assert done.stderr == (
        f"logged in to {anonymous.url} as peter (profile prod);"
        " valid for 30 minutes, and commands renew it for up to 12 hours\n"
    )
    assert whoami(anonymous, "--profile", "prod")["profile"] == "prod"
    assert whoami(anonymous)["profile"] == "prod", "it becomes the current profile"
    assert stat.S_IMODE(credentials_file(anonymous).stat().st_mode) == 0o600
    again = anonymous.run("login", "--profile", "prod", "--password-stdin", typed=PASSWORD)
    assert again.returncode == 0, "server and user are known"


def test_list(both: Client) -> None:
    lines = [line.split("\t") for line in both.data("--profile", "peters", "profiles").splitlines()]
    assert [line[:3] for line in lines] == [
        ["default", both.url, "peter"],
        ["lost", ELSEWHERE, "harriet"],
        ["peters", both.url, "peter"],
    ]
    assert lines[1][3:] == ["0", ""]
    assert 1700 < int(lines[2][3]) <= 1800
    assert [line[4] for line in lines] == ["", "", "*"]
    assert both.data("profiles", "-o", "ids") == "default\nlost\npeters\n"
    shown = both.data("profiles", "-o", "table")
    assert "expired" in shown
    assert "29 min" in shown
    assert json.loads(both.data("profiles", "-o", "json"))[2]["name"] == "peters"


def test_a_job_profile_does_not_become_the_current_profile(client: Client) -> None:
    command = f"echo {PASSWORD!r}"
    done = client.run("login", "--profile", "cron", "-u", "harriet", "--password-command", command)
    assert done.stderr.splitlines() == [
        f"logged in to {client.url} as harriet (profile cron); the password command renews the login",
        "the current profile is still default; to use this one: --profile cron, or leadctl profiles use cron",
    ]
    assert whoami(client)["username"] == "peter"
    client.data("login", "--profile", "cron")
    assert whoami(client)["username"] == "peter", "a login with the stored command does not, either"
    assert whoami(client, "--profile", "cron")["username"] == "harriet"


def test_a_job_profile_must_be_named(anonymous: Client) -> None:
    cron(anonymous)
    done = anonymous.run("whoami")
    assert (
        done.returncode,
        done.stderr.endswith("run: leadctl login, or select a profile with: leadctl profiles use NAME\n"),
    ) == (4, True)
    assert whoami(anonymous, LEADCTL_PROFILE="cron")["username"] == "peter"


def test_profiles_use(both: Client) -> None:
    assert whoami(both)["profile"] == "peters"
    done = both.run("profiles", "use", "default")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"current profile: default (peter at {both.url})\n"
    assert whoami(both)["profile"] == "default"
    assert both.run("profiles", "use", "nobodys").returncode == 2
    assert whoami(both)["profile"] == "default"
    assert both.run("profiles", "lost").returncode == 2


def test_a_login_at_another_server_becomes_a_profile_named_after_its_host(both: Client) -> None:
    other = both.url.replace("127.0.0.1", "localhost")
    for url in (other, other, both.url):
        both.data("login", "--url", url, "-u", "peter", "--password-stdin", typed=PASSWORD)
    assert both.data("profiles", "-o", "ids").split() == ["default", "default-localhost", "lost", "peters"]
    assert whoami(both, "--profile", "default-localhost", LEADCTL_URL="")["url"] == other
    assert whoami(both)["profile"] == "default"


def test_a_persons_login_does_not_replace_the_current_profile_of_a_job(anonymous: Client) -> None:
    cron(anonymous)
    anonymous.data("profiles", "use", "cron")
    message = anonymous.run("login", "-u", "harriet", "--password-stdin", typed=PASSWORD).stderr
    assert "(profile default)" in message
    assert whoami(anonymous, "--profile", "cron")["username"] == "peter"
    done = anonymous.run("login", "-u", "harriet", "--password-stdin", typed=PASSWORD, LEADCTL_PROFILE="cron")
    assert (done.returncode, "by its password command" in done.stderr) == (2, True), done.stderr
    assert whoami(anonymous, "--profile", "cron")["username"] == "peter"


def test_a_credentials_file_writable_by_others_is_refused(client: Client) -> None:
    [file] = client.home.rglob("credentials.json")
    file.chmod(0o666)
    done = client.run("whoami")
    assert (done.returncode, done.stderr.endswith("then: chmod 600 ~/.config/leadctl/credentials.json\n")) == (1, True)


def test_a_pipe_in_place_of_the_credentials_file_is_refused(anonymous: Client) -> None:
    file = anonymous.home / ".config/leadctl/credentials.json"
    file.parent.mkdir(parents=True)
    os.mkfifo(file, 0o600)
    done = anonymous.run("whoami")
    error = "leadctl: ~/.config/leadctl/credentials.json is not a file; remove it and log in again\n"
    assert (done.returncode, done.stderr) == (1, error)


PROFILE = {"url": "http://127.0.0.1:1"}
DAMAGED = {
    "empty": b"",
    "binary": bytes(range(256)),
    "truncated": b'{"profiles": {"default": {"url": "http',
    "list": b"[]",
    "null": b"null",
    "no profiles": b"{}",
    "list of profiles": b'{"profiles": []}',
    "text as a profile": b'{"profiles": {"default": "x"}}',
    "no URL": b'{"profiles": {"default": {}}}',
    "number as a URL": b'{"profiles": {"default": {"url": 1}}}',
    "before profiles": b'{"servers": {"http://h": {"token": "x"}}}',
    "number as the current one": json.dumps({"profiles": {"default": PROFILE}, "current": 1}).encode(),
    "invalid token": json.dumps({"profiles": {"default": {**PROFILE, "token": "a b"}}}).encode(),
    "text as expiry": json.dumps({"profiles": {"default": {**PROFILE, "expires_at": "soon"}}}).encode(),
    "NaN": json.dumps({"profiles": {"default": {**PROFILE, "expires_at": float("nan")}}}).encode(),
    "huge": json.dumps({"profiles": {"default": {**PROFILE, "expires_at": 10**400}}}).encode(),
    "more digits than Python reads": b'{"profiles": {"default": {"expires_at": ' + b"9" * 5000 + b"}}}",
    "deep": b"[" * 200_000,
    "deep objects": b'{"profiles":' * 100_000,
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_credentials_file_is_one_line_and_stays(anonymous: Client, kind: str) -> None:
    file = anonymous.home / ".config/leadctl/credentials.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(DAMAGED[kind])
    error = "leadctl: ~/.config/leadctl/credentials.json is damaged; remove or restore it, then log in again\n"
    for command in (["list"], ["login", "-u", "peter", "--password-stdin"], ["profiles"], ["logout"]):
        done = anonymous.run(*command, typed=PASSWORD)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", error)
    assert file.read_bytes() == DAMAGED[kind]


@pytest.mark.parametrize(
    ("flags", "environment", "profile"),
    [
        ([], {"LEADCTL_PROFILE": "default"}, "default"),
        (["--profile", "peters"], {"LEADCTL_PROFILE": "lost"}, "peters"),
        (["--profile", "default"], {"LEADCTL_URL": ELSEWHERE}, "default"),
        (["--profile", "default", "--url", "SAME"], {}, "default"),
        (["--url", "SAME"], {"LEADCTL_PROFILE": "lost"}, "peters"),
        ([], {"LEADCTL_URL": ""}, "peters"),
    ],
)
def test_flags_override_the_environment_which_overrides_the_current_profile(
    both: Client, flags: list[str], environment: dict[str, str], profile: str
) -> None:
    flags = [both.url if flag == "SAME" else flag for flag in flags]
    assert whoami(both, *flags, **environment)["profile"] == profile


def test_a_flag_of_login_overrides_both_variables(both: Client) -> None:
    before = stored_credentials(both)["profiles"]
    login = ("login", "-u", "peter", "--password-stdin")
    both.data("--url", both.url, *login, typed=PASSWORD, LEADCTL_PROFILE="lost")
    assert stored_credentials(both)["profiles"]["lost"] == before["lost"], "another server's profile is not replaced"
    both.data("--profile", "peters", *login, typed=PASSWORD, LEADCTL_URL=ELSEWHERE)
    assert stored_credentials(both)["profiles"]["peters"]["url"] == both.url


@pytest.mark.parametrize("flag", ["--profile", "--url"])
def test_an_empty_flag_is_not_the_current_profile(both: Client, flag: str) -> None:
    done = both.run(flag, "", "whoami")
    assert done.returncode == 2
    assert done.stderr.startswith(f"leadctl: {flag} is ''; ")


@pytest.mark.parametrize(
    ("flags", "environment", "code", "message"),
    [
        (["--profile", "nobodys"], {}, 2, "there is no profile nobodys"),
        (["--profile", "a/b"], {}, 2, "a profile name has"),
        ([], {"LEADCTL_PROFILE": "-"}, 2, "LEADCTL_PROFILE is '-'"),
        (["--profile", "peters", "--url", ELSEWHERE], {}, 2, f"but --url is {ELSEWHERE}"),
        ([], {"LEADCTL_PROFILE": "peters", "LEADCTL_URL": ELSEWHERE}, 2, "but LEADCTL_URL is http"),
        (["--url", ELSEWHERE], {"LEADCTL_PROFILE": "peters"}, 4, "not logged in to"),
        (
            ["--profile", "lost"],
            {},
            4,
            f"the login at {ELSEWHERE} has ended; run: leadctl login --profile lost",
        ),
    ],
)
def test_a_stored_token_is_never_sent_to_another_url(
    both: Client, flags: list[str], environment: dict[str, str], code: int, message: str
) -> None:
    done = both.run(*flags, "list", **environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_logout_keeps_the_profile_without_token_and_password_command(anonymous: Client) -> None:
    cron(anonymous)
    anonymous.data("profiles", "use", "cron")
    anonymous.data("logout")
    assert set(stored_credentials(anonymous)["profiles"]["cron"]) == {"url", "username"}
    assert anonymous.run("whoami").returncode == 4
    anonymous.data("logout", "--remove")
    assert stored_credentials(anonymous)["profiles"] == {}


def test_an_invalid_stored_url_is_a_one_line_error(client: Client) -> None:
    credentials_file(client).write_text(json.dumps({"profiles": {"cron": {"url": "ftp://x"}}}))
    done = client.run("--profile", "cron", "whoami")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert client.run("profiles").returncode == 0


def test_a_token_near_expiry_is_renewed_silently_and_saved(client: Client) -> None:
    before = stored_credentials(client)["profiles"]["default"]
    time.sleep(1.1)  # timestamps in tokens are whole seconds
    edit(client, "profiles", "default", expires_at=time.time() + 599)
    assert int(whoami(client)["time_left"]) > 1700
    after = stored_credentials(client)["profiles"]["default"]
    assert after["token"] != before["token"]
    assert after["expires_at"] > time.time() + 1700
    assert whoami(client)["username"] == "peter"


def test_a_renewed_token_that_can_not_be_saved_is_used(client: Client) -> None:
    edit(client, "profiles", "default", expires_at=time.time() + 60)
    before = credentials_file(client).read_bytes()
    done = in_bash(client, f"ulimit -f 0; {shlex.quote(LEADCTL)} whoami")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^time_left\t17\d\d$", done.stdout, re.MULTILINE)
    assert credentials_file(client).read_bytes() == before
    assert {file.name for file in credentials_file(client).parent.iterdir()} <= {"credentials.json", "credentials.lock"}


def test_a_token_far_from_expiry_is_not_renewed(client: Client) -> None:
    edit(client, "profiles", "default", expires_at=time.time() + 660)
    before = credentials_file(client).read_bytes()
    assert 600 < int(whoami(client)["time_left"]) <= 660
    assert credentials_file(client).read_bytes() == before


def test_a_new_login_is_required_after_twelve_hours(client: Client, service: Service) -> None:
    old = token_of(service, 2, login_s_ago=12 * 3600)
    for changes in (
        {"token": old, "expires_at": time.time() + 300},
        {"expires_at": time.time() - 1},
        {"token": "refused", "expires_at": time.time() + 1800},
    ):
        edit(client, "profiles", "default", **changes)
        done = client.run("list")
        assert (done.returncode, done.stdout) == (4, "")
        assert done.stderr == f"leadctl: the login at {client.url} has ended; run: leadctl login --profile default\n"


def test_an_environment_token_is_neither_renewed_nor_saved(client: Client, service: Service) -> None:
    client.data("logout")
    before = credentials_file(client).read_bytes()
    token = token_of(service, 2, login_s_ago=12 * 3600)
    assert whoami(client, LEADCTL_TOKEN=token)["time_left"] == ""
    assert credentials_file(client).read_bytes() == before


def test_no_concurrent_change_is_lost(tmp_path: Path) -> None:
    names = {f"profile{number}" for number in range(100)}
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda name: Credentials(tmp_path).save(Profile("http://h", name=name), make_current=True), names)
        )
    assert {profile.name for profile in Credentials(tmp_path).profiles} == names


def test_concurrent_commands_leave_a_valid_file(client: Client) -> None:
    for name in ("a", "b"):
        content = stored_credentials(client)
        content["profiles"][name] = {**content["profiles"]["default"], "url": client.url}
        credentials_file(client).write_text(json.dumps(content))
    before = stored_credentials(client)
    for name in ("a", "b"):
        edit(client, "profiles", name, expires_at=time.time() + 60)
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda n: client.run("--profile", "ab"[n % 2], "whoami"), range(8)))
    assert [done.returncode for done in runs] == [0] * 8
    after = stored_credentials(client)
    assert all(after["profiles"][name]["expires_at"] > time.time() + 1700 for name in ("a", "b")), "no change is lost"
    assert after["profiles"]["default"] == before["profiles"]["default"]
    assert {file.name for file in credentials_file(client).parent.iterdir()} <= {"credentials.json", "credentials.lock"}


@pytest.mark.parametrize("entry", [{"expires_at": 1}, {"token": None}, {"token": "stale"}])
def test_a_password_command_logs_in_automatically(anonymous: Client, entry: dict[str, object]) -> None:
    cron(anonymous)
    assert PASSWORD not in credentials_file(anonymous).read_text().replace(f"echo '{PASSWORD}'", "")
    edit(anonymous, "profiles", "cron", **entry)
    assert whoami(anonymous, LEADCTL_PROFILE="cron")["username"] == "peter"
    assert stored_credentials(anonymous)["profiles"]["cron"]["token"] != entry.get("token")
    assert stored_credentials(anonymous)["profiles"]["cron"]["expires_at"] > time.time()


def test_a_password_command_does_not_read_standard_input(anonymous: Client) -> None:
    cron(anonymous, f"sh -c 'cat; echo {PASSWORD}'")
    edit(anonymous, "profiles", "cron", token=None)
    assert anonymous.run("--profile", "cron", "whoami", typed="not the password\n").returncode == 0


def test_a_stored_password_command_is_only_for_its_user_and_server(anonymous: Client) -> None:
    cron(anonymous)
    for arguments in (["-u", "harriet"], ["--url", ELSEWHERE, "-u", "peter"]):
        done = anonymous.run("login", "--profile", "cron", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "can't prompt without a terminal" in done.stderr
    assert anonymous.run("login", "--profile", "cron").returncode == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("false", "the password command failed with exit code 1"),
        ("sh -c 'echo no such entry >&2; exit 3'", "failed with exit code 3: no such entry"),
        ("/nowhere/pass", "can't run the password command"),
        ("yes", "the password command printed more than 65536 bytes"),
        ("'", "can't run the password command"),
        ("true", "is empty"),
        (r"printf '\377'", "is not UTF-8"),
        ("echo wrong password $HOME", "wrong username or password"),
    ],
)
def test_a_failing_password_command_is_a_one_line_error(anonymous: Client, command: str, message: str) -> None:
    cron(anonymous)
    done = anonymous.run("login", "--profile", "cron", "--password-command", command)
    assert (done.returncode, done.stdout) == (4, "")
    assert message in done.stderr
    edit(anonymous, "profiles", "cron", password_command=command, token=None)
    done = anonymous.run("--profile", "cron", "list")
    assert done.returncode == 4
    assert done.stderr.startswith("leadctl: automatic login of profile cron failed: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_password_command_has_a_timeout_and_only_its_first_line_counts() -> None:
    with pytest.raises(PermissionDenied, match=r"did not finish within 0\.2 seconds"):
        run_password_command("sleep 20", timeout_s=0.2)
    assert run_password_command(r"printf 'one \r\ntwo\n'") == "one "


def test_a_password_command_requires_a_profile(anonymous: Client) -> None:
    arguments = ("login", "-u", "peter", "--password-command", f"echo {PASSWORD!r}")
    done = anonymous.run(*arguments)
    assert (done.returncode, "requires --profile" in done.stderr) == (2, True)
    anonymous.log_in()
    assert anonymous.run(*arguments).returncode == 2, "it is not put into the profile of a person"


@pytest.mark.parametrize(("seconds", "text"), [(0, "expired"), (30, "< 1 min"), (60, "1 min"), (None, None)])
def test_a_table_shows_the_time_left_in_minutes(seconds: int | None, text: str | None) -> None:
    assert format_time_left(seconds, OutputFormat.TABLE) == text
    assert format_time_left(seconds, OutputFormat.PLAIN) == seconds


def test_a_held_lock_is_an_error_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(credentials, "LOCK_TIMEOUT_S", 0.2)
    stored, profile = Credentials(tmp_path), Profile("http://localhost", "lord")
    stored.save(profile, make_current=True)
    lock = tmp_path / "credentials.lock"
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600, "other users can't hold it"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LeadctlError, match=r"another leadctl holds .*credentials\.lock"):
            stored.delete(profile)
    stored.delete(profile)
    assert stored.profiles == []
