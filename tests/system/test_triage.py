"""`leadctl triage` at a pseudo-terminal: bytes, signals and exit codes."""

import json
import os
import re
import signal
import sqlite3
import termios
import time
from itertools import chain, repeat
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.leadctl.conftest import Client, admin, administrators_home, anonymous, client, logged_in, service, worker
from tests.leadctl.test_hostile import CV_TEXT, JSON, LEAD, PROBLEM, hostile
from tests.leadctl.triage.test_session import states_of
from tests.system.programs import Service
from tests.system.terminal import Terminal

__all__ = ["admin", "administrators_home", "anonymous", "client", "hostile", "logged_in", "service", "worker"]
pytestmark = pytest.mark.usefixtures("worker")

START = ("\x1b[?1049h", "\x1b[?25l", "\x1b[?1000h")  # alternate screen, hidden cursor, mouse
RESTORED = ("\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l", "\x1b[?2004l")
READY = "layout lost"
QUESTION_END = "[q]uit? "


def submit(client: Client, count: int = 2) -> list[int]:
    """Submit leads with a name of their own, and return their ids."""
    client.environment["TRIAGE"] = name = f"Name{time.monotonic_ns()}"
    return [client.submit(f_name=name, cv=b"Experience\n2019 Acme", cv_name="cv.txt") for _ in range(count)]


def start(client: Client, *flags: str, columns: int = 80) -> Terminal:
    """Start triage of the submitted leads, and wait for the first text."""
    terminal = Terminal(client, "triage", "--f-name", client.environment["TRIAGE"], *flags, columns=columns)
    terminal.read_until(QUESTION_END if flags else READY, within_s=60)
    time.sleep(1)  # for the state
    return terminal


def assert_restored(screen: str) -> None:
    for set_up, restored in zip(START, RESTORED, strict=False):
        assert screen.rindex(restored) > screen.rindex(set_up)
    assert screen.rindex("\x1b[?2004l") > screen.rindex("\x1b[?2004h")


def test_deciding_and_quitting(client: Client) -> None:
    first, second = submit(client)
    terminal = start(client)
    terminal.type("r")
    terminal.read_until("REACHED_OUT (u undoes)")
    terminal.type("q")
    code, screen = terminal.end()
    assert (code, states_of(client, [first, second])) == (0, {first: "REACHED_OUT", second: "PENDING"})
    assert_restored(screen)
    printed = (
        rf"change [0-9a-f]{{8}}: lead {first}, Name\d+ Lovelace → REACHED_OUT\n1 decided \(1 REACHED_OUT\), 0 skipped"
    )
    assert re.search(printed, screen)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_restores_the_terminal(client: Client, name: str, code: int) -> None:
    submit(client, 1)
    terminal = start(client)
    before = termios.tcgetattr(terminal._master)[3]
    assert not before & termios.ECHO
    terminal.process.send_signal(signal.Signals[name])
    screen = terminal.read_until("0 decided")
    after = termios.tcgetattr(terminal._master)[3]
    assert after & termios.ECHO
    assert after & termios.ICANON
    ended, screen = terminal.end()
    assert ended == code
    assert_restored(screen)


def test_a_closed_terminal_ends_the_program(client: Client) -> None:
    submit(client, 1)
    client.environment.pop("PYTHONUNBUFFERED", None)
    terminal = start(client)
    os.close(terminal._master)
    assert terminal.process.wait(20) == 129


def test_ctrl_z_restores_the_terminal_and_fg_draws_again(client: Client) -> None:
    submit(client, 1)
    terminal = start(client)
    terminal.type("\x1a")
    until = time.monotonic() + 20
    while "T" not in Path(f"/proc/{terminal.process.pid}/stat").read_text().rpartition(")")[2].split()[0]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert_restored(terminal.read_until(RESTORED[1]))
    before, terminal.screen = terminal.screen, ""
    terminal.process.send_signal(signal.SIGCONT)
    terminal.read_until("2019 Acme")
    terminal.type("e")
    terminal.read_until("→ ENGAGED (u undoes)")
    terminal.type("q")
    code, screen = terminal.end()
    assert code == 0
    assert_restored(before + screen)


def test_no_color_sends_no_colour(client: Client) -> None:
    submit(client)
    colours = re.compile(r"\x1b\[(?:[0-9:]+;)*(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])(?:[;:][0-9:]+)*m")
    terminal = start(client)
    terminal.type("q")
    assert colours.search(terminal.end()[1])
    client.environment["NO_COLOR"] = "1"
    terminal = start(client)
    for key in "?xhx":
        terminal.type(key)
        time.sleep(0.3)
    terminal.type("q")
    screen = terminal.end()[1]
    assert not colours.search(screen)
    assert "pending" in screen


def test_replies_of_the_terminal_neither_decide_nor_end_the_program(client: Client) -> None:
    ids = submit(client)
    terminal = start(client)
    for data in (b"\x1b]11;rgb:dede/eeee/dddd\x1b\\", b"\x1b[100;1:3u", b"\x1b[?62;22c", b"\xe9"):
        os.write(terminal._master, data)
        time.sleep(1)
    terminal.type("q")
    code, screen = terminal.end()
    assert (code, "Traceback" in screen) == (0, False)
    assert "0 decided, 0 skipped" in screen
    assert set(states_of(client, ids).values()) == {"PENDING"}


def test_keys_typed_before_the_first_screen_are_dropped(client: Client) -> None:
    ids = submit(client)
    terminal = Terminal(client, "triage", "--f-name", client.environment["TRIAGE"])
    terminal.type("dddr")
    terminal.read_until(READY, within_s=60)
    time.sleep(1)
    terminal.type("q")
    assert terminal.end()[0] == 0
    assert set(states_of(client, ids).values()) == {"PENDING"}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_hostile_names_and_texts_are_escaped(client: Client, service: Service, columns: int) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil[/]"
    [lead] = submit(client, 1)
    with sqlite3.connect(Path(service.directory) / "intake.db") as database:
        database.execute("UPDATE lead SET l_name = ?, cv_name = ? WHERE id = ?", (evil, evil, lead))
    database.close()
    terminal = start(client, columns=columns)
    terminal.type("q")
    screen = terminal.end()[1]
    assert r"\x1b]0;title" in screen
    assert "\x1b]0;title" not in screen
    assert not re.search("\x1b\\[2J.*evil|\x9b|\u202e", screen)


STATS = {
    "total": 1,
    "states": {"PENDING": 1, "ENGAGED": 0},
    "days": {"2026-11-01": 1},
    "mails": {"queued": 0, "failed": 0},
    "oldest_waiting": None,
    "state_keys": {},
    "suspect": 0,
}


@pytest.mark.parametrize("flags", [[], ["--plain"]])
def test_the_password_is_asked_for_first_hidden_and_escaped(anonymous: Client, hostile: Any, flags: list[str]) -> None:
    user = {"id": 1, "username": "\x1b]2;title\x07\x1b[2J", "role": "attorney", "created_at": "x"}
    answers = [STATS, [LEAD], user, LEAD, []]
    expired = (401, PROBLEM, b'{"detail": "the login has expired"}')
    hostile.answer = chain(((200, JSON, json.dumps(answer).encode()) for answer in answers), repeat(expired))
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    terminal = Terminal(anonymous, "triage", *flags)
    terminal.read_until(": another", within_s=60)
    assert "our login has ended" in terminal.screen
    time.sleep(1)
    terminal.type("secret\r")
    terminal.read_until("the login has expired", within_s=60)
    time.sleep(1)
    terminal.type("\x1b" if not flags else "\r")
    terminal.read_until("Username")
    terminal.type("\x03")
    terminal.type("\x03")
    screen = terminal.end()[1]
    assert "secret" not in screen
    assert r"\x1b]2;title" in screen
    assert "\x1b]2;title" not in screen


@pytest.mark.parametrize(
    ("flags", "typed", "code"),
    [
        ([], "qq", 75),
        ([], "\x03\x03", 75),
        ([], signal.SIGTERM, 143),
        (["--plain"], "\x03", 130),
        (["--plain"], signal.SIGTERM, 143),
    ],
)
def test_leaving_before_the_response_prints_the_change(
    anonymous: Client, hostile: Any, flags: list[str], typed: str | signal.Signals, code: int
) -> None:
    sent, left = Event(), Event()
    lead = LEAD | {"state": "PENDING"}
    user = {"id": 1, "username": "peter", "role": "attorney", "created_at": "x"}
    answers = {"/stats": STATS, "/me": user, "/cv-text": CV_TEXT, "/leads/50": lead, "email=": [], "/leads/": [lead]}

    def answer(path: str) -> Any:
        if path.endswith("/state"):
            sent.set()
            left.wait(60)
            return None
        return 200, JSON, json.dumps(next(answers[part] for part in answers if part in path)).encode()

    hostile.answer = answer
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    terminal = Terminal(anonymous, "triage", *flags)
    terminal.read_until(QUESTION_END if flags else READY, within_s=60)
    time.sleep(1)
    terminal.type("e\n" if flags else "e")
    assert sent.wait(60)
    if isinstance(typed, str):
        terminal.type(typed)
    else:
        terminal.process.send_signal(typed)
    ended, screen = terminal.end()
    left.set()
    assert ended == code
    assert "0 decided, 0 skipped" in screen
    assert re.search(r"change (\S{8}) may have been applied; to undo it: leadctl undo \1\n", screen)


def type_answer(terminal: Terminal, typed: str, expected: str, *, question: str = QUESTION_END) -> None:
    """Type a line, and wait for the next question; assert that the expected text is printed."""
    terminal.screen = ""
    terminal.type(f"{typed}\n")
    terminal.read_until(question)
    assert expected in terminal.screen
    time.sleep(0.2)  # what is typed before the program reads is discarded


def test_plain_asks_line_by_line(client: Client) -> None:
    first, second, third = submit(client, 3)
    terminal = start(client, "--plain")
    question = "[w]rite the file, [?] help, [q]uit? "
    assert question in terminal.screen
    for typed, expected in (
        ("", question),  # Enter never decides
        ("rr", "'rr' ignored"),
        ("?", "u  undo your last decision"),
        ("R", f"2/3  Lead {second}, PENDING"),
        ("u", f"lead {first} is PENDING again"),
        ("s", f"2/3  Lead {second}, PENDING"),
        ("d", f"3/3  Lead {third}, PENDING"),
    ):
        type_answer(terminal, typed, expected, question=question)
    terminal.type("q\n")
    code, screen = terminal.end()
    assert (code, "1 decided (1 DECLINED), 1 skipped" in screen) == (0, True)
    assert "\x1b[" not in screen
    assert states_of(client, [first, second, third]) == {first: "PENDING", second: "DECLINED", third: "PENDING"}


def test_plain_shows_a_lead_again_after_a_conflict(client: Client, admin: Client) -> None:
    [lead] = submit(client, 1)
    terminal = start(client, "--plain")
    admin.data("set-state", "REACHED_OUT", str(lead))
    type_answer(terminal, "e", "[b]: stay")
    type_answer(terminal, "b", f"Lead {lead}, REACHED_OUT")
    type_answer(terminal, "e", f"lead {lead}")
    assert client.state(lead) == "ENGAGED"
    terminal.type("q\n")
    assert terminal.end()[0] == 0


def test_plain_can_skip_a_lead_that_fails(anonymous: Client, hostile: Any) -> None:
    leads = [LEAD | {"state": "PENDING", "id": number} for number in (50, 51)]
    user = {"id": 1, "username": "peter", "role": "attorney", "created_at": "x"}
    queue = {"/leads/50": leads[0], "email=": [], "/leads/?": leads}
    answers = {"/stats": STATS, "/me": user, "/cv-text": CV_TEXT, **queue}

    def respond(path: str) -> Any:
        found = [content for part, content in answers.items() if part in path]
        return (200, JSON, json.dumps(found[0]).encode()) if found else (500, PROBLEM, b"{}")

    hostile.answer = respond
    anonymous.environment |= {"LEADCTL_URL": f"http://127.0.0.1:{hostile.server_port}", "LEADCTL_TOKEN": "t"}
    terminal = Terminal(anonymous, "triage", "--plain")
    terminal.read_until(QUESTION_END, within_s=60)
    time.sleep(1)
    type_answer(terminal, "s", "[r]etry, [s]kip, ")
    type_answer(terminal, "s", "2 skipped")
    terminal.type("q\n")
    assert terminal.end()[0] == 0


def test_plain_ignores_a_letter_without_enter(client: Client) -> None:
    [lead] = submit(client, 1)
    terminal = start(client, "--plain")
    terminal.type("e\x04\x04")
    code, screen = terminal.end()
    assert (code, "0 decided" in screen, states_of(client, [lead])) == (0, True, {lead: "PENDING"})


def test_a_screen_ends_without_its_terminal_if_no_signal_arrives(client: Client) -> None:
    submit(client, 1)
    terminal = Terminal(client, "triage", is_controlling=False)
    terminal.read_until(READY)
    os.close(terminal._master)
    assert terminal.process.wait(20) == 129


def test_plain_says_what_to_do_without_a_text(client: Client) -> None:
    client.environment["TRIAGE"] = name = f"Name{time.monotonic_ns()}"
    client.submit(f_name=name, cv=b"%PDF-1.4\ndamaged")
    terminal = start(client, "--plain")
    deadline = time.monotonic() + 60
    while "Enter w to save it" not in terminal.screen and time.monotonic() < deadline:
        assert "Press Enter to look again" in terminal.screen
        terminal.screen = ""
        terminal.type("\n")
        terminal.read_until(QUESTION_END)
        time.sleep(0.2)
    assert "The file is damaged" in terminal.screen
    terminal.type("q\n")
    assert "Press o" not in terminal.end()[1]


def test_no_leads(client: Client) -> None:
    code, screen = Terminal(client, "triage", "--f-name", "nobody").end()
    assert (code, screen) == (0, "No leads match\n")


def test_a_terminal_without_a_screen_gets_a_hint(client: Client) -> None:
    client.environment["TERM"] = "dumb"
    code, screen = Terminal(client, "triage").end()
    assert (code, screen) == (2, "leadctl: this terminal can't show the screen; use leadctl triage --plain\n")


def test_an_error_at_the_start_is_one_line(anonymous: Client) -> None:
    code, screen = Terminal(anonymous, "triage").end()
    assert (code, screen.startswith("leadctl: not logged in")) == (4, True)
