"""leadctl at a pseudo-terminal."""

import codecs
import fcntl
import json
import os
import pty
import re
import select
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.leadctl.commands.test_undo import changed
from tests.leadctl.conftest import PASSWORD, Office, admin, administrators_home, logged_in, office, service, stranger
from tests.system.programs import LEADCTL, Service

__all__ = ["admin", "administrators_home", "logged_in", "office", "service", "stranger"]


class Terminal:
    """leadctl with all of its streams at a terminal of a given width."""

    def __init__(self, office: Office, *arguments: str, columns: int = 80) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [LEADCTL, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=office.environment,
            cwd=office.home,
            start_new_session=True,
            # so that Ctrl-C reaches it, and getpass finds it
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - it does no more than that
        )
        os.close(slave)
        self.screen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read_until(self, text: str | None, *, within_s: float = 20.0) -> str:
        """Return all that was shown, once `text` was (None: once the program has ended)."""
        until = time.monotonic() + within_s
        while text is None or text not in self.screen:
            assert time.monotonic() < until, self.screen
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            try:
                shown = os.read(self._master, 65536)
            except OSError:  # Linux says so where the other end is closed
                shown = b""
            if not shown:
                assert text is None, self.screen
                break
            self.screen += self._decoder.decode(shown)
        return self.screen

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end, and return the exit code and all that was shown."""
        screen = self.read_until(None)
        code = self.process.wait(20)
        os.close(self._master)
        return code, screen.replace("\r\n", "\n")


def lines(screen: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", screen).splitlines()


def test_logging_in_asks_and_shows_no_password(stranger: Office) -> None:
    terminal = Terminal(stranger, "login")
    terminal.read_until("Username: ")
    terminal.type("peter\n")
    terminal.read_until("Password: ")
    terminal.type(f"{PASSWORD}\n")
    code, screen = terminal.end()
    assert code == 0
    assert f"logged in to {stranger.url} as peter" in screen
    assert PASSWORD not in screen


def test_changing_a_password_asks_for_both_and_shows_neither(office: Office) -> None:
    terminal = Terminal(office, "passwd")
    for question, answer in (("Old", "wrong password"), ("New", "a new password"), ("Again", "a new password")):
        terminal.read_until(f"{question} password: " if question != "Again" else "Again: ")
        terminal.type(f"{answer}\n")
    code, screen = terminal.end()
    assert code == 4
    assert "the old password is wrong" in screen
    assert "wrong password\n" not in screen
    assert "a new password" not in screen


def test_whoami_tells_a_person_the_minutes_left(office: Office) -> None:
    code, screen = Terminal(office, "whoami").end()
    assert code == 0
    assert re.search(r"^time_left +\d\d min$", "\n".join(lines(screen)), re.MULTILINE)


@pytest.mark.parametrize("question", ["Username: ", "Password: "])
def test_ctrl_c_at_a_question_is_130_and_no_traceback(stranger: Office, question: str) -> None:
    arguments = ["login"] if question == "Username: " else ["login", "-u", "peter"]
    terminal = Terminal(stranger, *arguments)
    terminal.read_until(question)
    terminal.type("\x03")
    code, screen = terminal.end()
    assert code == 130
    assert "Traceback" not in screen


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_fits_and_keeps_ids_and_states_whole(office: Office, columns: int) -> None:
    lead_id = office.submit(f_name="a" * 200, l_name="山" * 100, cv_name="c" * 200)
    office.data("set-state", "REACHED_OUT", str(lead_id))
    code, screen = Terminal(office, "list", "-n", "3", columns=columns).end()
    assert code == 0
    head, first = lines(screen)[:2]
    assert head.split()[0] == "id"
    assert first.split()[0] == str(lead_id)
    assert "REACHED_OUT" in first
    assert "…" in first
    wide = sum(2 if "\u2e80" <= character <= "\uffef" else 1 for character in first)
    assert wide <= columns
    assert len(lines(screen)) <= (5 if columns == 40 else 4)  # which columns there is no room for


def test_a_terminal_shows_fifty_and_says_how_to_see_more(office: Office) -> None:
    for _ in range(51 - len(office.data("list", "-n", "51", "-o", "ids").split())):
        office.submit()
    code, screen = Terminal(office, "list", columns=120).end()
    assert code == 0
    shown = lines(screen)
    assert len([line for line in shown if "PENDING" in line or "REACHED_OUT" in line or "ENGAGED" in line]) == 50
    assert shown[-1] == "The first 50; more with -n 500, and all of them through a pipe."


def test_no_color_is_honoured(office: Office) -> None:
    office.submit()
    assert "\x1b[" in Terminal(office, "list", "-n", "1").end()[1]
    office.environment["NO_COLOR"] = "1"
    assert not re.search(r"\x1b\[[0-9;]*3\d", Terminal(office, "list", "-n", "1").end()[1])


def test_while_a_bar_runs_every_line_is_still_seen(office: Office) -> None:
    ids = [str(number) for number in range(900_000, 900_030)]
    code, screen = Terminal(office, "set-state", "ENGAGED", *ids, columns=100).end()
    assert code == 3
    for lead_id in ids:
        assert f"{lead_id}: there is no lead {lead_id}" in screen
    assert "0 of 30 leads moved to ENGAGED" in screen


@pytest.mark.parametrize(
    ("typed", "code", "told"), [("y", 3, "0 of 150 leads moved"), ("\n", 1, "nothing was changed")]
)
def test_many_leads_are_moved_only_after_a_question(office: Office, typed: str, code: int, told: str) -> None:
    ids = [str(number) for number in range(900_000, 900_150)]
    terminal = Terminal(office, "set-state", "ENGAGED", *ids)
    terminal.read_until("Move 150 leads to ENGAGED? [y/N] ")
    terminal.type(f"{typed}\n")
    ended, screen = terminal.end()
    assert ended == code
    assert told in screen


@pytest.mark.parametrize("flag", ["--yes", "--dry-run"])
def test_who_says_so_before_is_not_asked(office: Office, flag: str) -> None:
    ids = [str(number) for number in range(900_000, 900_150)]
    code, screen = Terminal(office, "set-state", flag, "ENGAGED", *ids).end()
    assert code == 3
    assert "[y/N]" not in screen
    assert "leadctl undo" not in screen, "none of them was moved"


def test_a_change_is_told_of_at_a_terminal(office: Office) -> None:
    _, screen = Terminal(office, "set-state", "ENGAGED", str(office.submit())).end()
    [change] = re.findall(r"This is change (\S+); to take it back: leadctl undo \1", screen)
    _, screen = Terminal(office, "undo").end()
    assert f"Change {change[:8]}: to ENGAGED, 1 lead, by peter, now" in screen
    assert "1 of 1 leads are back where they were" in screen


@pytest.mark.parametrize(
    ("typed", "code", "state", "told"), [("y", 0, "PENDING", "1 of 1 leads"), ("", 1, "ENGAGED", "nothing was changed")]
)
def test_another_users_change_is_undone_only_after_a_question(
    office: Office, admin: Office, typed: str, code: int, state: str, told: str
) -> None:
    lead_id = office.submit()
    change = changed(admin, lead_id)
    terminal = Terminal(office, "undo", change[:8])
    question = f"Change {change[:8]} was made by another user (to ENGAGED, 1 lead, by harriet, now). Undo it? [y/N] "
    terminal.read_until(question)
    terminal.type(f"{typed}\n")
    ended, screen = terminal.end()
    assert (ended, told in screen) == (code, True)
    assert office.state(lead_id) == state


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("face", ["table", "plain", "csv", "json"])
def test_hostile_names_are_shown_and_not_obeyed(office: Office, service: Service, face: str, columns: int) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil[/]"
    lead_id = office.submit()
    with sqlite3.connect(Path(service.directory) / "intake.db") as database:
        database.execute("UPDATE lead SET f_name = ?, l_name = ? WHERE id = ?", (evil, evil, lead_id))
    database.close()
    code, screen = Terminal(office, "list", "-n", "1", "-o", face, columns=columns).end()
    assert code == 0
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", "\n".join(lines(screen)))
    assert ("\\u001b]0" if face == "json" else "\\x1b") in screen


def test_raw_csv_is_for_files_and_pipes(office: Office) -> None:
    code, screen = Terminal(office, "list", "-o", "csv", "--raw").end()
    assert (code, screen) == (2, "leadctl: --raw is for -o csv into a file or a pipe\n")


def test_times_are_told_as_people_tell_them(office: Office) -> None:
    lead_id = office.submit()
    assert re.search(r"(now|\d+ s ago)$", lines(Terminal(office, "list", "-n", "1", columns=120).end()[1])[1])
    shown = "\n".join(lines(Terminal(office, "show", str(lead_id)).end()[1]))
    assert re.search(r"created_at +2\S+Z \(.+\)", shown)


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
def paged(office: Office) -> Office:
    """An attorney with a pager of her own, and enough leads for it."""
    pager = office.home / "pager"
    pager.write_text(PAGER)
    pager.chmod(0o755)
    office.environment["PAGER"] = f"'{pager}' 'of mine'"
    for _ in range(30 - len(office.data("list", "-n", "30", "-o", "ids").split())):
        office.submit()
    return office


@pytest.mark.parametrize("face", ["table", "plain", "ndjson"])
def test_what_is_longer_than_a_screen_goes_through_the_pager(paged: Office, face: str) -> None:
    count = 31 if face == "table" else 30
    assert Terminal(paged, "list", "-n", "30", "-o", face, columns=300).end() == (0, f"paged {count} ['of mine']\n")


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["-n", "20"], {}),
        (["-n", "30", "--no-pager"], {}),
        (["-n", "30"], {"LEADCTL_PAGER": ""}),
        (["-n", "30"], {"PAGER": "cat"}),
        (["-n", "30"], {"PAGER": "no-such-program-there"}),
        ([], {}),
    ],
)
def test_and_nothing_else_does(paged: Office, arguments: list[str], environment: dict[str, str]) -> None:
    paged.environment |= environment
    code, screen = Terminal(paged, "list", *arguments, columns=300).end()
    assert code == 0
    assert "paged" not in screen
    assert len(lines(screen)) > 20


def test_a_pager_that_is_left_early_is_no_error(paged: Office) -> None:
    paged.environment["LEADCTL_PAGER"] = "head -n 1"
    code, screen = Terminal(paged, "list", "-n", "30", "-o", "ids").end()
    assert (code, len(lines(screen))) == (0, 1)


def test_ctrl_c_in_a_pager_leaves_the_terminal_to_it(paged: Office) -> None:
    (paged.home / "pager").write_text(PAGER_LIKE_LESS)
    terminal = Terminal(paged, "list", "-n", "30", "-o", "ids")
    terminal.read_until(":")
    terminal.type("\x03")
    time.sleep(0.5)
    assert terminal.process.poll() is None, "less goes on at Ctrl-C"
    terminal.type("q\n")
    code, screen = terminal.end()
    assert code in (0, 130)
    assert "Traceback" not in screen


def test_numbers_are_drawn(office: Office) -> None:
    office.submit()
    code, screen = Terminal(office, "stats", columns=40).end()
    assert code == 0
    assert "\x1b[33m" in screen, "a state has its colour"
    assert "█" in screen
    assert max(map(len, lines(screen))) <= 40
    assert json.loads(Terminal(office, "stats", "-o", "json").end()[1])["total"]


def test_watching_says_so_and_shows_a_line_for_each_lead(office: Office) -> None:
    terminal = Terminal(office, "watch", "--interval", "200ms", columns=100)
    terminal.read_until(f"Watching {office.url}; Ctrl-C ends it.")
    lead_id = office.submit(f_name="Grace", l_name="Hopper")
    terminal.read_until(f" {lead_id} ")
    terminal.type("\x03")
    code, screen = terminal.end()
    assert code == 130
    assert re.search(
        rf"^\d\d:\d\d:\d\d  {lead_id} +PENDING +Grace +Hopper +ada@", "\n".join(lines(screen)), re.MULTILINE
    )


def test_an_erasure_is_asked_about_first(admin: Office) -> None:
    lead_id = admin.submit(email="asked@example.com")
    for answer, code in (("n", 1), ("y", 0)):
        terminal = Terminal(admin, "erase", "--email", "asked@example.com")
        shown = terminal.read_until("[y/N]")
        assert f"{lead_id}" in shown
        assert "1 lead, 1 CV" in shown
        terminal.type(f"{answer}\n")
        done, screen = terminal.end()
        assert (done, "nothing was changed" in screen) == (code, answer == "n")
    assert admin.run("show", str(lead_id)).returncode == 5


def test_a_zip_is_kept_from_a_terminal(admin: Office) -> None:
    code, screen = Terminal(admin, "export-person", "--email", "a@example.com", "-O", "-").end()
    assert (code, "-O FILE" in screen) == (2, True)
