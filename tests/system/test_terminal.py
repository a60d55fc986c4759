"""leadctl at a terminal."""

import json
import re
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from tests.leadctl.commands.test_undo import changed
from tests.leadctl.conftest import PASSWORD, Client, admin, administrators_home, anonymous, client, logged_in, service
from tests.system.programs import LEADCTL, Service, clean_environment
from tests.system.terminal import Terminal, lines

__all__ = ["admin", "administrators_home", "anonymous", "client", "logged_in", "service"]


def test_logging_in_asks_and_shows_no_password(anonymous: Client) -> None:
    host = anonymous.url.removeprefix("http://")
    terminal = Terminal(anonymous, "login")
    terminal.read_until(f"Username at {host}: ")
    terminal.type("peter\n")
    assert "Server" not in terminal.read_until(f"Password for peter at {host}: ")
    terminal.type(f"{PASSWORD}\n")
    code, screen = terminal.end()
    assert code == 0
    assert f"logged in to {anonymous.url} as peter" in screen
    assert PASSWORD not in screen


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_login_asks_for_an_unknown_server_first(anonymous: Client, scheme: str) -> None:
    url = anonymous.environment.pop("LEADCTL_URL")
    terminal = Terminal(anonymous, "login")
    terminal.read_until("Server [http://127.0.0.1:8000]: ")
    terminal.type(f"{scheme}{url.removeprefix('http://')}\n")
    terminal.read_until(f"Username at {url.removeprefix('http://')}: ")
    terminal.type("peter\n")
    terminal.read_until("Password for peter at ")
    terminal.type(f"{PASSWORD}\n")
    code, screen = terminal.end()
    assert code == 0
    assert f"logged in to {url} as peter (profile default)" in screen
    again = Terminal(anonymous, "login", "--profile", "new")
    assert "Server" not in again.read_until("Username at ")
    again.type("\x03")
    assert again.end()[0] == 130


def test_a_host_name_as_the_server_means_https(anonymous: Client) -> None:
    anonymous.environment.pop("LEADCTL_URL")
    terminal = Terminal(anonymous, "login")
    terminal.read_until("Server ")
    terminal.type("intake.example.com\n")
    terminal.read_until("Username at intake.example.com: ")
    terminal.type("\x03")
    terminal.end()
    terminal = Terminal(anonymous, "login")
    terminal.read_until("Server ")
    terminal.type("two words\n")
    code, screen = terminal.end()
    assert (code, "leadctl: the server is 'https://two words'; expected http" in screen) == (2, True)


def test_register_user_asks_no_password_if_not_allowed(client: Client, admin: Client) -> None:
    code, screen = Terminal(client, "register-user", "verity").end()
    assert (code, screen) == (4, "leadctl: only an administrator can register users\n")
    terminal = Terminal(admin, "register-user", "verity")
    for question in ("Password of verity: ", "Again: "):
        terminal.read_until(question)
        terminal.type(f"{PASSWORD}\n")
    code, screen = terminal.end()
    assert (code, "registered verity" in screen) == (0, True)


def test_register_user_asks_if_registration_is_open(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path, INTAKE_OPEN_REGISTRATION="1")
    with Service(environment, tmp_path) as service:
        client = Client(service.url, tmp_path)
        refused = Terminal(client, "register-user", "--role", "admin", "verity").end()
        assert refused == (4, "leadctl: only an administrator can assign a role\n")
        terminal = Terminal(client, "register-user", "verity")
        terminal.read_until("Password of verity: ")
        terminal.type("\x03")
        assert terminal.end()[0] == 130


def test_passwd_prompts_without_echo(client: Client) -> None:
    terminal = Terminal(client, "passwd")
    for question, answer in (("Old", "wrong password"), ("New", "a new password"), ("Again", "a new password")):
        terminal.read_until(f"{question} password: " if question != "Again" else "Again: ")
        terminal.type(f"{answer}\n")
    code, screen = terminal.end()
    assert code == 4
    assert "the old password is wrong" in screen
    assert "wrong password\n" not in screen
    assert "a new password" not in screen


def test_nobody_is_asked_at_a_terminal_that_is_not_the_controlling_one(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:9", tmp_path)
    client.environment["LEADCTL_TOKEN"] = "t"
    code, screen = Terminal(client, "erase", "--email", "ada@example.com", is_controlling=False).end()
    assert (code, "leadctl: can't prompt without a terminal; use --yes" in screen) == (2, True)
    for command in (["undo", "6f1a0c1e-58a0-4d0e-9a52-1f6f3c1d2b7a"], ["set-state", "X", *map(str, range(1, 11))]):
        code, screen = Terminal(client, *command, is_controlling=False).end()
        assert (code, "leadctl: no response from http://127.0.0.1:9" in screen) == (75, True)


def test_an_answer_that_was_typed_before_the_question_does_not_count(client: Client) -> None:
    terminal = Terminal(client, "set-state", "ENGAGED", *map(str, range(900_000, 900_010)))
    terminal.type("y\n")
    terminal.read_until("[y/N] ")
    time.sleep(0.5)
    terminal.type("n\n")
    code, screen = terminal.end()
    assert (code, "leadctl: nothing was changed" in screen) == (1, True)


def test_whoami_on_a_terminal_shows_minutes(client: Client) -> None:
    code, screen = Terminal(client, "whoami").end()
    assert code == 0
    assert re.search(r"^TIME LEFT +\d\d min$", "\n".join(lines(screen)), re.MULTILINE)


@pytest.mark.parametrize("question", ["Username at ", "Password for peter at "])
def test_ctrl_c_at_a_prompt_is_exit_130(anonymous: Client, question: str) -> None:
    arguments = ["login"] if question == "Username at " else ["login", "-u", "peter"]
    terminal = Terminal(anonymous, *arguments)
    terminal.read_until(question)
    terminal.type("\x03")
    code, screen = terminal.end()
    assert code == 130
    assert "Traceback" not in screen


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_fits_and_never_cuts_ids_and_states(client: Client, columns: int) -> None:
    lead_id = client.submit(f_name="a" * 200, l_name="山" * 100, cv_name="c" * 200)
    client.data("set-state", "REACHED_OUT", str(lead_id))
    code, screen = Terminal(client, "--quiet", "list", "-n", "3", columns=columns).end()
    assert code == 0
    head, first = lines(screen)[:2]
    assert head.split()[0] == "ID"
    assert first.split()[0] == str(lead_id)
    assert "REACHED_OUT" in first
    assert ("…" in first) is (columns > 40), "at 40 columns the long values are omitted"
    wide = sum(2 if "\u2e80" <= character <= "\uffef" else 1 for character in first)
    assert wide <= columns
    assert len(lines(screen)) <= (5 if columns == 40 else 4)  # a line for columns that are not shown


def test_a_terminal_shows_fifty_leads_and_a_hint(client: Client) -> None:
    for _ in range(51 - len(client.data("list", "-n", "51", "-o", "ids").split())):
        client.submit()
    code, screen = Terminal(client, "list", "--no-pager", columns=120).end()
    assert code == 0
    shown = lines(screen)
    assert len([line for line in shown if "PENDING" in line or "REACHED_OUT" in line or "ENGAGED" in line]) == 50
    assert re.fullmatch(r"newest 50 of \d+; use -n for more", shown[-1])


def test_no_color_is_honoured(client: Client) -> None:
    client.submit()
    assert "\x1b[" in Terminal(client, "list", "-n", "1").end()[1]
    client.environment["NO_COLOR"] = "1"
    assert not re.search(r"\x1b\[[0-9;]*3\d", Terminal(client, "list", "-n", "1").end()[1])


def test_messages_are_printed_above_a_progress_bar(client: Client) -> None:
    ids = [str(number) for number in range(900_000, 900_030)]
    code, screen = Terminal(client, "set-state", "ENGAGED", "--yes", *ids, columns=100).end()
    assert code == 3
    for lead_id in ids:
        assert f"{lead_id}: there is no lead {lead_id}" in screen
    assert "0 of 30 leads changed to ENGAGED" in screen


@pytest.mark.parametrize(
    ("typed", "code", "message"), [("y", 3, "0 of 10 leads changed"), ("\n", 1, "nothing was changed")]
)
@pytest.mark.parametrize("piped", [False, True])
def test_changing_ten_leads_asks_for_confirmation(
    client: Client, typed: str, code: int, message: str, piped: bool
) -> None:
    ids = [str(number) for number in range(900_000, 900_010)]
    terminal = (
        Terminal(client, "set-state", "ENGAGED", "-", piped="\n".join(ids))
        if piped
        else Terminal(client, "set-state", "ENGAGED", *ids)
    )
    terminal.read_until("Change the state of 10 leads to ENGAGED? [y/N] ")
    terminal.type(f"{typed}\n")
    ended, screen = terminal.end()
    assert ended == code
    assert message in screen


def test_an_unknown_state_is_an_error_before_the_question(client: Client) -> None:
    ids = [str(number) for number in range(900_000, 900_010)]
    code, screen = Terminal(client, "set-state", "REACHED", *ids).end()
    assert (code, "'REACHED' is not a state" in screen, "[y/N]" in screen) == (2, True, False)


@pytest.mark.parametrize(("flags", "count"), [(["--yes"], 10), (["--dry-run"], 10), ([], 9)])
def test_yes_dry_run_and_nine_leads_need_no_confirmation(client: Client, flags: list[str], count: int) -> None:
    ids = "\n".join(str(number) for number in range(900_000, 900_000 + count))
    code, screen = Terminal(client, "set-state", *flags, "ENGAGED", "-", piped=ids).end()
    assert code == 3
    assert "[y/N]" not in screen
    assert "leadctl undo" not in screen, "none of them was changed"


@pytest.mark.parametrize("ids_from_a_pipe", [True, False])
def test_a_background_job_is_not_asked(client: Client, ids_from_a_pipe: bool) -> None:
    ids = " ".join(str(number) for number in range(900_000, 900_010))
    command = f"echo {ids} | {LEADCTL} set-state ENGAGED -" if ids_from_a_pipe else f"{LEADCTL} set-state ENGAGED {ids}"
    code, screen = Terminal(client, "-c", f"set -m; {command} & wait $!", program="bash").end()
    assert (code, "[y/N]" in screen) == (3, False)
    assert "0 of 10 leads changed" in screen


@pytest.mark.parametrize("script", ["set -m; {} & wait $!", "timeout 60 {}; exit $?"])
def test_a_background_job_erases_nothing_without_yes(admin: Client, script: str) -> None:
    lead_id = admin.submit(email="background@example.com")
    command = script.format(f"{LEADCTL} erase --email background@example.com")
    code, screen = Terminal(admin, "-c", command, program="bash").end()
    assert (code, "can't prompt without a terminal; use --yes" in screen) == (2, True)
    assert admin.state(lead_id) == "PENDING"


@pytest.mark.parametrize("script", ["set -m; {} & wait $!", "timeout 60 {}; exit $?"])
def test_a_background_job_undoes_no_other_users_change(client: Client, admin: Client, script: str) -> None:
    lead_id = client.submit()
    command = script.format(f"{LEADCTL} undo {changed(admin, lead_id)}")
    code, screen = Terminal(client, "-c", command, program="bash").end()
    assert (code, "use --others to undo it" in screen) == (6, True)
    assert client.state(lead_id) == "ENGAGED"


def test_a_cv_is_written_to_a_terminal_only_by_force(client: Client) -> None:
    lead_id = str(client.submit(cv=b"\x1b]0;title\x07Experience", cv_name="cv.txt"))
    code, screen = Terminal(client, "download-cv", lead_id, "-O", "-").end()
    assert (code, "use -O FILE" in screen, "Experience" in screen) == (2, True, False)
    assert "Experience" in Terminal(client, "download-cv", lead_id, "-O", "-", "--force").end()[1]


@pytest.mark.parametrize(("typed", "code", "state"), [("y", 0, "PENDING"), ("", 1, "ENGAGED")])
def test_undoing_ten_leads_asks_for_confirmation(client: Client, typed: str, code: int, state: str) -> None:
    ids = [client.submit() for _ in range(10)]
    change = changed(client, *ids)
    terminal = Terminal(client, "undo", piped="")
    terminal.read_until(f"Undo change {change[:8]} (to ENGAGED, 10 leads, by peter, now)? [y/N] ")
    terminal.type(f"{typed}\n")
    ended, screen = terminal.end()
    assert (ended, "nothing was changed" in screen) == (code, code == 1)
    assert screen.count("to ENGAGED, 10 leads") == 1
    assert client.state(ids[0]) == state


def test_a_dry_run_of_undo_shows_each_lead_once(client: Client) -> None:
    ids = [client.submit() for _ in range(2)]
    change = changed(client, *ids)
    client.data("set-state", "DECLINED", str(ids[0]))
    code, screen = Terminal(client, "undo", "--dry-run", change).end()
    assert code == 3
    assert [re.split("  +", line.rstrip()) for line in lines(screen)] == [
        ["ID", "RESULT", "STATE"],
        [str(ids[0]), "changed since", "DECLINED"],
        [str(ids[1]), "would undo", "PENDING"],
        ["leadctl: 1 of 2 leads would be restored to PENDING"],
    ]


def test_undo_is_confirmed_once(client: Client, admin: Client) -> None:
    ids = [client.submit() for _ in range(10)]
    change = changed(admin, *ids)
    terminal = Terminal(client, "undo", change)
    terminal.read_until("made by another user (to ENGAGED, 10 leads, by harriet, now). Undo it? [y/N] ")
    terminal.type("y\n")
    code, screen = terminal.end()
    assert (code, screen.count("[y/N]")) == (0, 1)
    assert "[y/N]" not in Terminal(client, "undo", "--yes").end()[1]
    for user in (client, admin):
        assert Terminal(user, "undo", change).end() == (0, f"change {change} is already undone\n")


def test_a_terminal_shows_the_name_and_the_short_change_id(client: Client) -> None:
    lead_id = client.submit(f_name="Ada\u202e", l_name="King")
    _, screen = Terminal(client, "set-state", "ENGAGED", str(lead_id)).end()
    [change] = re.findall(r"change (\S{8}); to undo it: leadctl undo \1\n", screen)
    assert f"\nlead {lead_id} (Ada\\u202e King) is ENGAGED\n" in screen
    _, screen = Terminal(client, "set-state", "ENGAGED", str(lead_id)).end()
    assert screen == f"lead {lead_id} (Ada\\u202e King) is already ENGAGED\n"
    _, screen = Terminal(client, "undo", "--verbose").end()
    assert re.search(r"change (\S{36}); to undo it: leadctl undo \1\n", screen)
    assert f"Your latest change: {change} (to ENGAGED, 1 lead, by peter, now)" in screen
    assert "1 of 1 leads restored to PENDING" in screen


@pytest.mark.parametrize(
    ("typed", "code", "state", "message"),
    [("y", 0, "PENDING", "1 of 1 leads"), ("", 1, "ENGAGED", "nothing was changed")],
)
def test_undoing_another_users_change_asks_for_confirmation(
    client: Client, admin: Client, typed: str, code: int, state: str, message: str
) -> None:
    lead_id = client.submit()
    change = changed(admin, lead_id)
    terminal = Terminal(client, "undo", change[:8])
    question = f"Change {change[:8]} was made by another user (to ENGAGED, 1 lead, by harriet, now). Undo it? [y/N] "
    terminal.read_until(question)
    terminal.type(f"{typed}\n")
    ended, screen = terminal.end()
    assert (ended, message in screen) == (code, True)
    assert client.state(lead_id) == state


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("output_format", ["table", "plain", "csv", "json"])
def test_hostile_names_are_escaped(client: Client, service: Service, output_format: str, columns: int) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil[/]"
    lead_id = client.submit()
    with sqlite3.connect(Path(service.directory) / "intake.db") as database:
        database.execute("UPDATE lead SET f_name = ?, l_name = ? WHERE id = ?", (evil, evil, lead_id))
    database.close()
    code, screen = Terminal(client, "list", "-n", "1", "-o", output_format, columns=columns).end()
    assert code == 0
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", "\n".join(lines(screen)))
    assert ("\\u001b]0" if output_format == "json" else "\\x1b") in screen


def test_raw_csv_is_for_files_and_pipes(client: Client) -> None:
    code, screen = Terminal(client, "list", "-o", "csv", "--raw").end()
    assert (code, screen) == (2, "leadctl: --raw requires -o csv, written to a file or a pipe\n")


def test_a_terminal_shows_relative_times(client: Client) -> None:
    lead_id = client.submit()
    assert re.search(r"(now|\d+ s ago)$", lines(Terminal(client, "list", "-n", "1", columns=120).end()[1])[1])
    shown = "\n".join(lines(Terminal(client, "show", str(lead_id)).end()[1]))
    assert re.search(r"RECEIVED +(now|\d+ s ago) \(2.+\)", shown)


PAGER = """#!/usr/bin/env python3
import sys
lines = sys.stdin.read().splitlines()
print("paged", len(lines), sys.argv[1:])
"""


PAGER_LIKE_LESS = f"""#!{sys.executable}
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.stdin.read()
print(":", end="", flush=True)
with open("/dev/tty") as keys:
    while keys.readline().strip() != "q":
        pass
"""


@pytest.fixture
def paged(client: Client) -> Client:
    """A client with a custom pager, and enough leads for it."""
    pager = client.home / "pager"
    pager.write_text(PAGER)
    pager.chmod(0o755)
    client.environment["PAGER"] = f"'{pager}' 'of mine'"
    for _ in range(30 - len(client.data("list", "-n", "30", "-o", "ids").split())):
        client.submit()
    return client


@pytest.mark.parametrize("output_format", ["table", "plain", "ndjson"])
def test_long_output_goes_through_the_pager(paged: Client, output_format: str) -> None:
    count = 31 if output_format == "table" else 30
    assert Terminal(paged, "--quiet", "list", "-n", "30", "-o", output_format, columns=300).end() == (
        0,
        f"paged {count} ['of mine']\n",
    )


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["-n", "20"], {}),
        (["-n", "30", "--no-pager"], {}),
        (["-n", "30"], {"LEADCTL_PAGER": ""}),
        (["-n", "30"], {"PAGER": "cat"}),
        (["-n", "30"], {"PAGER": "no-such-program-there"}),
    ],
)
def test_other_output_is_not_paged(paged: Client, arguments: list[str], environment: dict[str, str]) -> None:
    paged.environment |= environment
    code, screen = Terminal(paged, "list", *arguments, columns=300).end()
    assert code == 0
    assert "paged" not in screen
    assert len(lines(screen)) > 20


def test_quitting_the_pager_early_is_not_an_error(paged: Client) -> None:
    paged.environment["LEADCTL_PAGER"] = "head -n 1"
    code, screen = Terminal(paged, "--quiet", "list", "-n", "30", "-o", "ids").end()
    assert (code, len(lines(screen))) == (0, 1)


def test_ctrl_c_is_handled_by_the_pager(paged: Client) -> None:
    (paged.home / "pager").write_text(PAGER_LIKE_LESS)
    terminal = Terminal(paged, "list", "-n", "30", "-o", "ids")
    terminal.read_until(":")
    terminal.type("\x03")
    time.sleep(0.5)
    assert terminal.process.poll() is None, "less ignores Ctrl-C"
    terminal.type("q\n")
    code, screen = terminal.end()
    assert code in (0, 130)
    assert "Traceback" not in screen


def test_stats_on_a_terminal(client: Client) -> None:
    client.submit()
    code, screen = Terminal(client, "stats", columns=40).end()
    assert code == 0
    assert "\x1b[33m" in screen, "a state has its colour"
    assert "█" in screen
    assert max(map(len, lines(screen))) <= 40
    assert json.loads(Terminal(client, "stats", "-o", "json").end()[1])["total"]


def test_watching_on_a_terminal(client: Client) -> None:
    terminal = Terminal(client, "watch", "--interval", "200ms", columns=100)
    terminal.read_until(f"Watching {client.url}; press Ctrl-C to stop")
    lead_id = client.submit(f_name="Grace", l_name="Hopper")
    terminal.read_until(f" {lead_id} ")
    terminal.type("\x03")
    code, screen = terminal.end()
    assert code == 130
    assert re.search(
        rf"^\d\d:\d\d:\d\d  {lead_id} +PENDING +Grace +Hopper +ada@", "\n".join(lines(screen)), re.MULTILINE
    )


def test_erasure_asks_for_confirmation(admin: Client) -> None:
    lead_id = admin.submit(email="asked@example.com", f_name="Grace", l_name="Hopper")
    for answer, code in (("n", 1), ("y", 0)):
        terminal = Terminal(admin, "erase", "--email", " Asked@example.com")
        shown = terminal.read_until("[y/N]")
        assert re.search(rf"{lead_id} +\S*PENDING\S* +Grace +Hopper +asked@example\.com +\S*now", shown)
        assert "1 lead, 1 CV" in shown
        terminal.type(f"{answer}\n")
        done, screen = terminal.end()
        assert (done, "nothing was changed" in screen) == (code, answer == "n")
    assert admin.run("show", str(lead_id)).returncode == 5


def test_a_zip_is_not_written_to_a_terminal(admin: Client) -> None:
    code, screen = Terminal(admin, "export-person", "--email", "a@example.com", "-O", "-").end()
    assert (code, "use -O" in screen) == (2, True)
