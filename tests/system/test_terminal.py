"""leadctl at a pseudo-terminal."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from tests.leadctl.conftest import PASSWORD, Office, logged_in, office, service, stranger
from tests.system.programs import LEADCTL

__all__ = ["logged_in", "office", "service", "stranger"]


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
    assert re.search(r"^time_left +\d\d min$", screen, re.MULTILINE)


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
    assert len(lines(screen)) <= 4


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


def test_ctrl_c_in_the_middle_of_many_is_130(office: Office) -> None:
    ids = [str(number) for number in range(900_000, 902_000)]
    terminal = Terminal(office, "set-state", "ENGAGED", *ids)
    terminal.read_until("900005: ")
    terminal.type("\x03")
    code, screen = terminal.end()
    assert code == 130
    assert "Traceback" not in screen
