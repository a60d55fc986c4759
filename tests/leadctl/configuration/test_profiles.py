"""leadctl profiles; --profile and what it chooses; logins that renew themselves."""

import json
import re
import shlex
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from intake.users.tokens import Claims, TokenSigner
from leadctl.configuration.credentials import Credentials, Profile
from leadctl.configuration.session import password_from
from leadctl.errors import PermissionDenied
from tests.leadctl.commands.test_login import kept_file
from tests.leadctl.conftest import PASSWORD, Office
from tests.leadctl.test_program import in_bash
from tests.system.programs import LEADCTL, Service

ELSEWHERE = "http://127.0.0.1:1"


def kept(office: Office) -> Any:
    return json.loads(kept_file(office).read_text())


def edit(office: Office, section: str, key: str, **values: object) -> None:
    """Change what is kept of a profile, or of a server."""
    content = kept(office)
    content[section][key] |= values
    kept_file(office).write_text(json.dumps(content))


def whoami(office: Office, *flags: str, **environment: str) -> dict[str, str]:
    done = office.run(*flags, "whoami", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return dict(line.split("\t") for line in done.stdout.splitlines())


def cron(office: Office, command: str = f"echo {PASSWORD!r}") -> None:
    """Log in as a profile that can do so by itself."""
    office.data("login", "--profile", "cron", "-u", "peter", "--password-command", command)


@pytest.fixture
def both(office: Office) -> Office:
    """An office with the profiles `peters`, of the service, and `lost`, of a server that is away."""
    office.data("login", "--profile", "peters", "-u", "peter", "--password-stdin", typed=PASSWORD)
    content = kept(office)
    content["profiles"]["lost"] = {"url": ELSEWHERE, "username": "harriet", "token": "x", "expires_at": 1}
    kept_file(office).write_text(json.dumps(content))
    return office


def token_of(service: Service, user_id: int, *, login_s_ago: int) -> str:
    secret = (Path(service.directory) / "intake.db.secret").read_text()
    return TokenSigner([secret]).encode(Claims(user_id, int(time.time()) - login_s_ago, 0))


def test_a_profile_keeps_where_it_logged_in_and_as_whom(stranger: Office) -> None:
    del stranger.environment["LEADCTL_URL"]
    arguments = ("login", "--profile", "prod", "--url", stranger.url, "-u", "peter", "--password-stdin")
    done = stranger.run(*arguments, typed=PASSWORD)
    assert done.returncode == 0
    assert done.stderr == f"logged in to {stranger.url} as peter for 30 minutes (profile prod)\n"
    assert whoami(stranger, "--profile", "prod")["profile"] == "prod"
    assert whoami(stranger)["profile"] == "prod", "it is the last login, too"
    assert stat.S_IMODE(kept_file(stranger).stat().st_mode) == 0o600
    again = stranger.run("login", "--profile", "prod", "--password-stdin", typed=PASSWORD)
    assert again.returncode == 0, "server and user are known"


def test_list(both: Office) -> None:
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
    assert "ended" in shown
    assert "29 min" in shown
    assert json.loads(both.data("profiles", "-o", "json"))[2]["name"] == "peters"


def test_a_profile_for_a_job_does_not_change_who_one_is(office: Office) -> None:
    command = f"echo {PASSWORD!r}"
    done = office.run("login", "--profile", "cron", "-u", "harriet", "--password-command", command)
    assert done.stderr.splitlines() == [
        f"logged in to {office.url} as harriet for 30 minutes (profile cron)",
        "commands still use profile default; to use this one: --profile cron, or leadctl profiles use cron",
    ]
    assert whoami(office)["username"] == "peter"
    office.data("login", "--profile", "cron")
    assert whoami(office)["username"] == "peter", "nor does a login by the command that is kept"
    assert whoami(office, "--profile", "cron")["username"] == "harriet"


def test_a_person_who_logs_in_does_not_replace_the_current_profile_of_a_job(stranger: Office) -> None:
    cron(stranger)
    stranger.data("profiles", "use", "cron")
    said = stranger.run("login", "-u", "harriet", "--password-stdin", typed=PASSWORD).stderr
    assert "(profile default)" in said
    assert whoami(stranger, "--profile", "cron")["username"] == "peter"
    done = stranger.run("login", "-u", "harriet", "--password-stdin", typed=PASSWORD, LEADCTL_PROFILE="cron")
    assert (done.returncode, "logs in by itself as peter" in done.stderr) == (2, True)
    assert whoami(stranger, "--profile", "cron")["username"] == "peter"


def test_a_file_that_others_can_write_is_refused(office: Office) -> None:
    [file] = office.home.rglob("credentials.json")
    file.chmod(0o666)
    done = office.run("whoami")
    assert (done.returncode, done.stderr.endswith(f"then: chmod 600 {file}\n")) == (1, True)


def test_a_profile_for_a_job_alone_is_used_where_it_is_named(stranger: Office) -> None:
    cron(stranger)
    done = stranger.run("whoami")
    assert (done.returncode, done.stderr.endswith("run: leadctl login, or leadctl profiles use NAME\n")) == (4, True)
    assert whoami(stranger, LEADCTL_PROFILE="cron")["username"] == "peter"


def test_another_profile_is_used(both: Office) -> None:
    assert whoami(both)["profile"] == "peters"
    done = both.run("profiles", "use", "default")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"commands that name no profile now use default: peter at {both.url}\n"
    assert whoami(both)["profile"] == "default"
    assert both.run("profiles", "use", "nobodys").returncode == 2
    assert whoami(both)["profile"] == "default"
    assert both.run("profiles", "lost").returncode == 2


def test_logins_without_a_profile_at_several_servers_are_all_listed(both: Office) -> None:
    other = both.url.replace("127.0.0.1", "localhost")
    for url in (other, other, both.url):
        both.data("--url", url, "login", "-u", "peter", "--password-stdin", typed=PASSWORD)
    assert both.data("profiles", "-o", "ids").split() == ["default", "default-localhost", "lost", "peters"]
    assert whoami(both, "--url", other)["profile"] == "default-localhost"
    assert whoami(both)["profile"] == "default"


def entry(token: str, expires_at: float = 1.0) -> dict[str, object]:
    return {"username": token, "token": token, "expires_at": expires_at}


OLD_SERVERS = {
    "http://a.example": entry("ada", 9.0),
    "https://b.example:8443/intake": entry("bob", 3.0),
    "http://a.example:81": entry("carol"),
    "http://[::1]:8000": entry("dan", 2.0),
}


@pytest.mark.parametrize(
    ("old", "names", "current"),
    [
        (
            {"last": "https://b.example:8443/intake", "last_profile": None},
            {
                "bob": "default",
                "ada": "default-a.example",
                "dan": "default-1",
                "carol": "default-a.example-2",
                "robot": "cron",
            },
            "bob",
        ),
        (
            {"last": "http://a.example", "last_profile": "cron"},
            {
                "ada": "default",
                "bob": "default-b.example",
                "dan": "default-1",
                "carol": "default-a.example",
                "robot": "cron",
            },
            "robot",
        ),
        (
            {"last": "http://a.example:81", "own": "default"},
            {
                "own": "default",
                "carol": "default-a.example",
                "ada": "default-a.example-2",
                "bob": "default-b.example",
                "dan": "default-1",
                "robot": "cron",
            },
            "carol",
        ),
    ],
)
def test_no_login_of_an_older_file_is_lost(
    tmp_path: Path, old: dict[str, str | None], names: dict[str, str], current: str
) -> None:
    profiles = {"cron": {"url": "http://a.example", **entry("robot")}}
    if own := old.pop("own", None):
        profiles[own] = {"url": "http://own.example", **entry("own")}
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({**old, "servers": OLD_SERVERS, "profiles": profiles}))
    credentials = Credentials(tmp_path)
    for step in ("read", "written", "read anew"):
        assert {profile.token: profile.name for profile in credentials.profiles} == names, step
        assert credentials.current is not None
        assert credentials.current.token == current
        for url, values in OLD_SERVERS.items():
            assert (found := credentials.at(url)).token == values["token"]
            assert found.url == url
        if step == "read":
            credentials.keep(credentials.current, as_current=False)
        else:
            assert not {"last", "last_profile"} & set(json.loads(file.read_text()))


def test_a_login_without_a_profile_overwrites_no_other(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path)
    credentials.keep(Profile("http://a.example", token="one"), as_current=True)
    credentials.keep(Profile("http://b.example", name="default", token="two"), as_current=True)
    credentials.keep(Profile("http://a.example", token="three"), as_current=True)
    found = {profile.name: (profile.url, profile.token) for profile in credentials.profiles}
    assert found == {"default": ("http://b.example", "two"), "default-a.example": ("http://a.example", "three")}


@pytest.mark.parametrize(
    ("flags", "environment", "profile"),
    [
        ([], {"LEADCTL_PROFILE": "peters"}, "peters"),
        (["--profile", "peters"], {"LEADCTL_PROFILE": "lost"}, "peters"),
        (["--profile", "peters"], {"LEADCTL_URL": ELSEWHERE}, "peters"),
        (["--profile", "peters", "--url", "SAME"], {}, "peters"),
        (["--url", "SAME"], {"LEADCTL_PROFILE": "peters"}, "peters"),
        (["--url", "SAME"], {"LEADCTL_PROFILE": "lost"}, "peters"),  # the last login at that server
        ([], {"LEADCTL_URL": ""}, "peters"),
    ],
)
def test_a_flag_counts_more_than_the_environment_and_that_more_than_the_last_login(
    both: Office, flags: list[str], environment: dict[str, str], profile: str
) -> None:
    flags = [both.url if flag == "SAME" else flag for flag in flags]
    assert whoami(both, *flags, **environment)["profile"] == profile


@pytest.mark.parametrize(
    ("flags", "environment", "code", "told"),
    [
        (["--profile", "nobodys"], {}, 2, "there is no profile nobodys"),
        (["--profile", "a/b"], {}, 2, "a profile's name"),
        ([], {"LEADCTL_PROFILE": "-"}, 2, "LEADCTL_PROFILE is '-'"),
        (["--profile", "peters", "--url", ELSEWHERE], {}, 2, "names another"),
        ([], {"LEADCTL_PROFILE": "peters", "LEADCTL_URL": ELSEWHERE}, 2, "LEADCTL_URL names another"),
        (["--url", ELSEWHERE], {"LEADCTL_PROFILE": "peters"}, 4, "not logged in to"),
        (
            ["--profile", "lost"],
            {},
            4,
            f"the login at {ELSEWHERE} has ended; log in again: leadctl login --profile lost",
        ),
    ],
)
def test_a_profiles_token_is_never_shown_elsewhere(
    both: Office, flags: list[str], environment: dict[str, str], code: int, told: str
) -> None:
    done = both.run(*flags, "list", **environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_logging_out_keeps_a_profiles_name_and_nothing_that_logs_in(stranger: Office) -> None:
    cron(stranger)
    stranger.data("profiles", "use", "cron")
    stranger.data("logout")
    assert set(kept(stranger)["profiles"]["cron"]) == {"url", "username"}
    assert stranger.run("whoami").returncode == 4
    stranger.data("logout", "--remove")
    assert kept(stranger)["profiles"] == {}


def test_a_file_of_the_version_before_is_read(office: Office) -> None:
    entry = kept(office)["profiles"]["default"]
    entry = {name: entry[name] for name in ("username", "token", "expires_at")}
    kept_file(office).write_text(json.dumps({"last": office.url, "servers": {office.url: entry}}))
    assert whoami(office)["username"] == "peter"
    assert whoami(office, LEADCTL_URL="")["url"] == office.url


@pytest.mark.parametrize(
    "content",
    [
        {"servers": [], "profiles": {"cron": {"url": "x"}}},
        {"servers": {}, "profiles": []},
        {"servers": {}, "profiles": {"cron": []}},
        {"servers": {}, "profiles": {"cron": {"url": 1}}},
        {"servers": {}, "profiles": {}, "last_profile": ["cron"]},
        {"servers": {}, "profiles": {}, "last": {}},
        {"servers": {"": {}, "x": [], "http://h": {"expires_at": "x"}}, "profiles": {}, "current": ["x"]},
        {"servers": {}, "profiles": {"cron": {"url": "http://h", "token": "a\nb", "expires_at": "x"}}},
    ],
)
def test_a_broken_file_is_told_in_one_line(office: Office, content: object) -> None:
    kept_file(office).write_text(json.dumps(content))
    for flags in ([], ["--profile", "cron"]):
        done = office.run(*flags, "whoami")
        assert done.returncode in (2, 4)
        assert done.stderr.count("\n") == 1
    assert office.run("profiles").returncode == 0


def test_a_token_near_its_end_is_renewed_in_silence_and_kept(office: Office) -> None:
    before = kept(office)["profiles"]["default"]
    time.sleep(1.1)  # a token's moments are whole seconds
    edit(office, "profiles", "default", expires_at=time.time() + 599)
    assert int(whoami(office)["time_left"]) > 1700
    after = kept(office)["profiles"]["default"]
    assert after["token"] != before["token"]
    assert after["expires_at"] > time.time() + 1700
    assert whoami(office)["username"] == "peter"


def test_a_renewed_token_that_can_not_be_kept_is_shown_all_the_same(office: Office) -> None:
    edit(office, "profiles", "default", expires_at=time.time() + 60)
    before = kept_file(office).read_bytes()
    done = in_bash(office, f"ulimit -f 0; {shlex.quote(LEADCTL)} whoami")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^time_left\t17\d\d$", done.stdout, re.MULTILINE)
    assert kept_file(office).read_bytes() == before
    assert list(kept_file(office).parent.iterdir()) == [kept_file(office)]


def test_a_token_far_from_its_end_is_not(office: Office) -> None:
    edit(office, "profiles", "default", expires_at=time.time() + 660)
    before = kept_file(office).read_bytes()
    assert 600 < int(whoami(office)["time_left"]) <= 660
    assert kept_file(office).read_bytes() == before


def test_twelve_hours_after_the_login_one_logs_in_again(office: Office, service: Service) -> None:
    old = token_of(service, 2, login_s_ago=12 * 3600)
    edit(office, "profiles", "default", token=old, expires_at=time.time() + 300)
    done = office.run("list")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == "leadctl: the login is 12 hours old and can't be renewed; log in again\n"
    edit(office, "profiles", "default", expires_at=time.time() - 1)
    done = office.run("list")
    assert (done.returncode, done.stderr) == (
        4,
        f"leadctl: the login at {office.url} has ended; log in again: leadctl login --profile default\n",
    )


def test_a_given_token_is_neither_renewed_nor_kept(office: Office, service: Service) -> None:
    office.data("logout")
    before = kept_file(office).read_bytes()
    token = token_of(service, 2, login_s_ago=12 * 3600)
    assert whoami(office, LEADCTL_TOKEN=token)["time_left"] == ""
    assert kept_file(office).read_bytes() == before


def test_of_many_changes_at_once_none_is_lost(tmp_path: Path) -> None:
    names = {f"profile{number}" for number in range(100)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Credentials(tmp_path).keep(Profile("http://h", name=name), as_current=True), names))
    assert {profile.name for profile in Credentials(tmp_path).profiles} == names


def test_many_at_once_leave_a_whole_file(office: Office) -> None:
    for name in ("a", "b"):
        content = kept(office)
        content["profiles"][name] = {**content["profiles"]["default"], "url": office.url}
        kept_file(office).write_text(json.dumps(content))
    before = kept(office)
    for name in ("a", "b"):
        edit(office, "profiles", name, expires_at=time.time() + 60)
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda n: office.run("--profile", "ab"[n % 2], "whoami"), range(8)))
    assert [done.returncode for done in runs] == [0] * 8
    after = kept(office)
    assert all(after["profiles"][name]["expires_at"] > time.time() + 1700 for name in ("a", "b")), "no change is lost"
    assert after["profiles"]["default"] == before["profiles"]["default"]
    assert list(kept_file(office).parent.iterdir()) == [kept_file(office)]


@pytest.mark.parametrize("entry", [{"expires_at": 1}, {"token": None}, {"token": "stale"}])
def test_with_a_password_command_a_profile_logs_in_by_itself(stranger: Office, entry: dict[str, object]) -> None:
    cron(stranger)
    assert PASSWORD not in kept_file(stranger).read_text().replace(f"echo '{PASSWORD}'", "")
    edit(stranger, "profiles", "cron", **entry)
    assert whoami(stranger, LEADCTL_PROFILE="cron")["username"] == "peter"
    assert kept(stranger)["profiles"]["cron"]["token"] != entry.get("token")
    assert kept(stranger)["profiles"]["cron"]["expires_at"] > time.time()


def test_a_password_command_leaves_standard_input_alone(stranger: Office) -> None:
    cron(stranger, f"sh -c 'cat; echo {PASSWORD}'")
    edit(stranger, "profiles", "cron", token=None)
    assert stranger.run("--profile", "cron", "whoami", typed="not the password\n").returncode == 0


def test_a_password_command_that_is_kept_is_for_its_user_and_server_alone(stranger: Office) -> None:
    cron(stranger)
    for arguments in (["-u", "harriet"], ["--url", ELSEWHERE, "-u", "peter"]):
        done = stranger.run("login", "--profile", "cron", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no terminal to ask at" in done.stderr
    assert stranger.run("login", "--profile", "cron").returncode == 0


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("false", "the password-command failed with exit code 1"),
        ("sh -c 'echo no such entry >&2; exit 3'", "failed with exit code 3: no such entry"),
        ("/nowhere/pass", "the password-command can't be run"),
        ("'", "the password-command can't be run"),
        ("true", "printed no password"),
        (r"printf '\377'", "is not UTF-8"),
        ("echo wrong password $HOME", "wrong username or password"),
    ],
)
def test_a_password_command_that_fails_is_told_in_one_line(stranger: Office, command: str, told: str) -> None:
    cron(stranger)
    done = stranger.run("login", "--profile", "cron", "--password-command", command)
    assert (done.returncode, done.stdout) == (4, "")
    assert told in done.stderr
    edit(stranger, "profiles", "cron", password_command=command, token=None)
    done = stranger.run("--profile", "cron", "list")
    assert done.returncode == 4
    assert done.stderr.startswith("leadctl: profile cron can't log in by itself: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_password_command_has_a_limit_of_time_and_of_lines() -> None:
    with pytest.raises(PermissionDenied, match=r"did not end within 0\.2 seconds"):
        password_from("sleep 20", within_s=0.2)
    assert password_from(r"printf 'one \r\ntwo\n'") == "one "


def test_a_password_command_needs_a_profile(stranger: Office) -> None:
    arguments = ("login", "-u", "peter", "--password-command", f"echo {PASSWORD!r}")
    done = stranger.run(*arguments)
    assert (done.returncode, "name one with --profile" in done.stderr) == (2, True)
    stranger.log_in()
    assert stranger.run(*arguments).returncode == 2, "it is not put into the profile of a person"
