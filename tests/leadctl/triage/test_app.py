"""The full screen, driven by Textual's Pilot on the running service."""

import asyncio
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from threading import Event
from types import MappingProxyType
from typing import Any

import httpx2
import pytest
from textual.events import Key
from textual.pilot import Pilot

from leadctl.errors import LeadctlError, TryAgain
from leadctl.triage import lead_window
from leadctl.triage.app import TriageApp
from leadctl.triage.facts import Facts
from leadctl.triage.keys import REPEAT_S, assign_keys
from leadctl.triage.session import Session
from leadctl.triage.window import Mode
from tests.leadctl.conftest import PASSWORD, Client
from tests.leadctl.triage.conftest import STATES, MakeSession
from tests.leadctl.triage.test_session import expired
from tests.system.programs import Service

NO_TEXT: Mapping[str, Any] = {"reason": None, "text": None, "pages": [], "truncated": False, "guessed": False}
Script = Callable[["Screen"], Awaitable[None]]
pytestmark = pytest.mark.usefixtures("worker")


class Screen:
    """A running app, its keys and its visible text."""

    def __init__(self, app: TriageApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def until(self, text: str, *, within_s: float = 20.0) -> None:
        """Wait until the screen contains the text."""
        until = time.monotonic() + within_s
        while text not in self.shown:
            assert time.monotonic() < until, self.shown
            await self.pilot.pause(0.02)

    async def ready(self, lead: int) -> None:
        """Wait until a lead can be decided."""
        await self.until(f"Lead {lead} ")
        until = time.monotonic() + 20
        while not (self.app.is_fresh and self.app.has_text):
            assert time.monotonic() < until, self.shown
            await self.pilot.pause(0.02)

    async def press(self, *keys: str, after_s: float = REPEAT_S) -> None:
        """Press keys after a pause, so that they count."""
        await self.pilot.pause(after_s)
        await self.pilot.press(*keys)

    @property
    def shown(self) -> str:
        rows = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in row).rstrip() for row in rows)


def run(
    session: Session,
    script: Script,
    *,
    size: tuple[int, int] = (80, 24),
    states: Sequence[str] = STATES,
    filters: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Run the app on the session's leads."""

    async def main() -> None:
        first = session.load(session.ids[0])
        app = TriageApp(session, assign_keys(states, {}), profile="prod", filters=filters, first=first)
        async with app.run_test(size=size) as pilot:
            await script(Screen(app, pilot))

    asyncio.run(main())


@pytest.fixture
def leads(client: Client) -> list[int]:
    return [client.submit(cv=b"Experience\n2019 Acme", cv_name="cv.txt", f_name="Ivan") for _ in range(3)]


def test_a_key_decides_and_shows_the_next_lead(client: Client, make_session: MakeSession, leads: list[int]) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        await screen.until("2019 Acme")
        await screen.press("R")
        await screen.ready(leads[1])
        await screen.until(f"lead {leads[0]}, Ivan Lovelace → REACHED_OUT (u undoes)")
        await screen.press("u")
        await screen.ready(leads[0])
        await screen.until(f"lead {leads[0]} is PENDING again")

    run(make_session(leads), script)
    assert client.state(leads[0]) == "PENDING"


def test_a_held_key_decides_one_lead(client: Client, make_session: MakeSession, leads: list[int]) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        at = time.monotonic()
        for repeat in range(60):  # at a keyboard's pace, however slow this machine is
            screen.app._press("d", at + (0.5 + repeat / 30 if repeat else 0))
            await screen.pilot.pause(0.03)
        await screen.until("key ignored: d is held down, or pressed too fast")

    run(make_session(leads), script)
    assert [client.state(lead) for lead in leads] == ["DECLINED", "PENDING", "PENDING"]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("д", "switch the keyboard to Latin letters"),
        ("é", "switch the keyboard to Latin letters"),
        ("x", "? lists the keys"),
        ("enter", "? lists the keys"),
        ("p", "the lead is already PENDING"),
    ],
)
def test_other_keys_decide_nothing(
    client: Client, make_session: MakeSession, leads: list[int], key: str, hint: str
) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        await screen.press(key)
        await screen.until("key ignored: ")
        assert hint in screen.shown.replace("\n", " ")

    run(make_session(leads[:1]), script)
    assert client.state(leads[0]) == "PENDING"


def test_a_key_before_the_text_is_shown_is_ignored(client: Client, make_session: MakeSession, leads: list[int]) -> None:
    session = make_session(leads)
    fetch = session.cv_text

    def slow(lead: int) -> object:
        time.sleep(1)
        return fetch(lead)

    session.cv_text = slow  # type: ignore[method-assign, assignment]

    async def script(screen: Screen) -> None:
        await screen.press("d", after_s=0.2)
        await screen.until("key ignored: the lead is not on the screen yet")
        await screen.ready(leads[0])

    run(session, script)
    assert client.state(leads[0]) == "PENDING"


def test_a_conflict_is_shown_until_a_key_is_pressed(
    client: Client, admin: Client, make_session: MakeSession, leads: list[int]
) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        admin.data("set-state", "ENGAGED", str(leads[0]))
        await screen.press("d")
        await screen.until("harriet moved this to ENGAGED")
        await screen.until("any key next lead  b stay on this lead")
        await screen.press("b")
        await screen.ready(leads[0])
        assert screen.app.mode is Mode.LEAD
        await screen.press("d")
        await screen.ready(leads[1])

    run(make_session(leads), script)
    assert client.state(leads[0]) == "DECLINED"


def test_leads_that_were_taken_are_passed_over(
    client: Client, admin: Client, make_session: MakeSession, leads: list[int]
) -> None:
    ids = [*leads, *(client.submit(f_name=name) for name in ("Uma", "Zoe"))]
    texts: list[int] = []
    session = make_session(ids)
    fetch = session.cv_text
    session.cv_text = lambda lead: texts.append(lead) or fetch(lead)  # type: ignore[assignment, method-assign, func-returns-value]

    async def script(screen: Screen) -> None:
        await screen.ready(ids[0])
        admin.data("set-state", "ENGAGED", str(ids[1]))
        await screen.press("d")
        await screen.ready(ids[2])
        await screen.until("→ DECLINED (u undoes)")
        assert f"passed over lead {ids[1]}: harriet moved this to ENGAGED" in " ".join(screen.shown.split())
        assert ids[1] not in texts, "no text is delivered that nobody sees"
        await screen.press("b")
        await screen.ready(ids[1])
        await screen.until("harriet moved this to ENGAGED")
        assert screen.app.mode is Mode.LEAD
        admin.data("set-state", "ENGAGED", str(ids[2]), str(ids[3]))
        await screen.press("s")
        await screen.ready(ids[4])
        await screen.until("passed over 2 leads that others had moved")

    run(session, script)


def test_an_error_is_followed_by_one_full_stop(
    client: Client, make_session: MakeSession, leads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_change: object) -> object:
        raise TryAgain(next(texts)) from httpx2.ConnectError("refused")

    texts = iter(("is the server running?", "no response"))
    session = make_session(leads[:1])
    monkeypatch.setattr(session, "decide", fail)

    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        for text in ("is the server running? Nothing was changed.", "no response. Nothing was changed."):
            await screen.press("d")
            await screen.until(text)

    run(session, script)


def test_an_erased_lead_says_so_at_once(
    client: Client, admin: Client, make_session: MakeSession, leads: list[int]
) -> None:
    gone = client.submit(email="shown@example.com")
    ids = [gone, leads[1]]

    async def script(screen: Screen) -> None:
        await screen.ready(gone)
        await screen.until("The file is damaged")  # a text that is awaited would say at once that the lead was erased
        admin.data("erase", "--email", "shown@example.com", "--yes")
        await screen.press("d")
        await screen.until(f"lead {gone} was erased")
        while screen.app._is_busy:
            await screen.pilot.pause(0.02)
        await screen.press("x")
        await screen.ready(leads[1])
        await screen.press("b")
        await screen.until(f"lead {gone} was erased")
        assert "shown@example.com" not in screen.shown

    run(make_session(ids), script)


def test_an_expired_login_is_renewed_in_place(client: Client, make_session: MakeSession, leads: list[int]) -> None:
    session = make_session(leads)

    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        session._context.session.profile = expired(session)
        await screen.press("d")
        await screen.until("your login has ended. Password for peter (Esc: another user):")
        await screen.press(*"wrong", after_s=0)
        assert "wrong" not in screen.shown
        await screen.press("enter", after_s=0)
        await screen.until("wrong username or password. Password for peter (Esc: another user):")
        await screen.press("escape", after_s=0)
        await screen.until("Username (Esc: cancel):")
        await screen.press(*"harriet", "enter", after_s=0)
        await screen.until("Password for harriet (Esc: another user):")
        for question in ("Username (Esc: cancel):", "cancelled"):
            await screen.press("escape", after_s=0)
            await screen.until(question)
        await screen.press("d")
        await screen.until("Password for peter (Esc: another user):")
        await screen.press(*[{" ": "space"}.get(letter, letter) for letter in PASSWORD], "enter", after_s=0)
        await screen.until("signed in as peter")
        await screen.ready(leads[0])
        await screen.press("d")
        await screen.ready(leads[1])

    run(session, script)
    assert client.state(leads[0]) == "DECLINED"


def test_keys_behind_an_answer_are_not_typed_into_the_next_question(
    client: Client, make_session: MakeSession, leads: list[int]
) -> None:
    session = make_session(leads)

    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        session._context.session.profile = expired(session)
        await screen.press("d")
        await screen.until("Password for peter")
        await screen.press("escape", after_s=0)
        await screen.until("Username")
        for key in ("enter", *"secret", "enter"):
            screen.app.post_message(Key(key, None if key == "enter" else key))
        await screen.until("Password for peter")
        await screen.pilot.pause(0.5)
        assert "secret" not in screen.shown
        assert "Password for peter" in screen.shown

    run(session, script)


@pytest.mark.parametrize("end", ["enter", "escape", "n"])
def test_no_result_closes_a_prompt(client: Client, make_session: MakeSession, leads: list[int], end: str) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        arrived, app = Event(), screen.app
        app.start(arrived.wait, lambda _: app.set_mode(Mode.NOTICE, "harriet moved this"))
        if end == "n":
            app.confirm("Search?", lambda: None)
        else:
            await screen.press("slash")
        await screen.until("Search")
        arrived.set()
        await screen.pilot.pause(0.5)
        if end != "n":
            await screen.press(*"deb", after_s=0)
            assert app.frame.input.value == "deb"
        assert "harriet" not in screen.shown
        await screen.press(end)
        await screen.until("harriet moved this")

    run(make_session(leads), script)
    assert [client.state(lead) for lead in leads] == ["PENDING"] * 3


def test_an_error_of_the_terminal_is_the_programs_error(make_session: MakeSession, leads: list[int]) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        screen.app.panic("Traceback")

    with pytest.raises(LeadctlError, match="can't read the terminal's input"):
        run(make_session(leads), script)


def test_search_help_history_and_scrolling(client: Client, make_session: MakeSession) -> None:
    lead = client.submit(cv=b"\n".join(b"line %d" % number for number in range(200)), cv_name="cv.txt")

    async def script(screen: Screen) -> None:
        await screen.ready(lead)
        await screen.until("line 3")
        await screen.press("end", after_s=0)
        await screen.until("line 199")
        await screen.press("home", "space", after_s=0)
        assert "line 0\n" not in screen.shown
        await screen.press("slash", after_s=0)
        await screen.press(*"LINE", "space", *"150", "enter", after_s=0)
        await screen.until("line 150")
        await screen.press("question_mark", after_s=0)
        await screen.until("r  reached out")
        assert "match 1 of" not in screen.shown
        await screen.press("d", after_s=0)
        await screen.until("line 150")
        await screen.press("h", after_s=0)
        await screen.until("No changes.")

    run(make_session([lead]), script)
    assert client.state(lead) == "PENDING", "d closed the help"


def test_each_match_is_shown_also_those_in_one_paragraph(client: Client, make_session: MakeSession) -> None:
    paragraph = b" ".join(b"word%d" % number + b" visa" * (number in (0, 60, 120)) for number in range(300))
    lead = client.submit(cv=paragraph + b"\nvisa", cv_name="cv.txt")

    async def script(screen: Screen) -> None:
        await screen.ready(lead)
        await screen.until("word0 ")
        await screen.press("slash", "enter", after_s=0)
        await screen.until("nothing to search for: type a word after /")
        await screen.press("slash", *"Visa", "enter", after_s=0)
        await screen.until("match 1 of 4")
        for number, neighbour in ((2, "word60 visa"), (3, "word120 visa"), (4, "word299\n"), (1, "word0 visa")):
            await screen.press("n", after_s=0)
            await screen.until(f"match {number} of 4")
            assert neighbour in screen.shown, "the row above is its context"
        await screen.press("N", after_s=0)
        await screen.until("match 4 of 4")
        await screen.press("slash", *"none", "enter", after_s=0)
        await screen.until("not found: none")
        await screen.press("x", after_s=0)
        await screen.until("key ignored")
        await screen.press("slash", "enter", after_s=0)
        await screen.until("not found: none")

    run(make_session([lead]), script)


def test_the_words_of_the_filter_are_marked_and_found(client: Client, make_session: MakeSession) -> None:
    lead = client.submit(cv=b"\n".join(b"line %d" % number for number in range(99)) + b"\nAsylum", cv_name="cv.txt")

    async def script(screen: Screen) -> None:
        await screen.until("line 9")
        await screen.press("slash", "enter", after_s=0)
        await screen.until("match 1 of 2")
        await screen.until("line 71")
        await screen.press("slash", "enter", after_s=0)
        await screen.until("Asylum")

    run(make_session([lead]), script, filters={"q": "asylum 71"})


def test_the_layout_follows_the_size_and_keeps_the_place(client: Client, make_session: MakeSession) -> None:
    lead = client.submit(cv=b"\n".join(b"line %d of the text" % number for number in range(300)), cv_name="cv.txt")

    async def script(screen: Screen) -> None:
        await screen.ready(lead)
        await screen.until("line 3 ")
        await screen.press("space", "space", after_s=0)
        top = screen.app.text.top
        assert "Ada Lovelace <ada@example.com>" in screen.shown
        await screen.pilot.resize_terminal(120, 40)
        await screen.until("│")
        assert screen.app.text.top == top
        assert re.search(r"^ ada@example.com +│", screen.shown, re.MULTILINE)
        await screen.pilot.resize_terminal(59, 15)
        await screen.until("Enlarge the window to at least 60 columns and 15 lines")
        await screen.press("d")
        await screen.pilot.resize_terminal(60, 15)
        await screen.until("s skip")
        assert screen.app.text.top == top

    run(make_session([lead]), script)
    assert client.state(lead) == "PENDING"


def test_a_click_on_a_key_decides(client: Client, make_session: MakeSession, leads: list[int]) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        await screen.pilot.click("#keys", offset=(screen.shown.splitlines()[-1].index("e engaged"), 0))
        await screen.ready(leads[1])

    run(make_session(leads), script)
    assert client.state(leads[0]) == "ENGAGED"


def test_the_end_reports_new_leads(client: Client, make_session: MakeSession, leads: list[int]) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[2])
        client.submit()
        await screen.press("s", after_s=0)
        await screen.until("The end of the queue: 0 decided, 1 skipped. Skipped leads are shown again")
        assert "b back  u undo  ? help  q quit" in screen.shown
        await screen.until("1 new lead arrived meanwhile")
        await screen.press("d")
        await screen.until("key ignored: there is no lead here")

    run(make_session(leads[2:]), script)


def test_a_server_with_one_state(client: Client, make_session: MakeSession, leads: list[int]) -> None:
    async def script(screen: Screen) -> None:
        await screen.ready(leads[0])
        await screen.press("p")
        await screen.until("key ignored: the lead is already PENDING")
        assert "p pending  s skip" in screen.shown

    run(make_session(leads[:1]), script, states=["PENDING"])


def test_hostile_text_is_escaped(client: Client, make_session: MakeSession) -> None:
    evil = "a\x1b]0;title\x07b\u202ec [bold]d"
    session = make_session([client.submit(f_name="Evil", cv_name="[red].txt")])
    answer = {**NO_TEXT, "state": "done", "text": evil}
    session.cv_text = lambda _lead: answer  # type: ignore[method-assign, assignment]

    async def script(screen: Screen) -> None:
        await screen.until(r"a\x1b]0;title\x07b\u202ec [bold]d")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", screen.shown)

    run(session, script)


def test_a_pending_text_appears_by_itself(
    client: Client, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead_window, "REFRESH_PENDING_S", 0.2)
    session = make_session([client.submit()])
    answers = [{**NO_TEXT, "state": state} for state in ("pending", "pending", "done")]
    answers[2]["text"] = "ready"
    session.cv_text = lambda _lead: answers.pop(0)  # type: ignore[method-assign, assignment]

    async def script(screen: Screen) -> None:
        await screen.until("The text is still being extracted")
        assert screen.app.has_text, "deciding works meanwhile"
        await screen.until("ready")

    run(session, script)


@pytest.mark.parametrize("is_reachable", [True, False])
def test_waiting_for_a_text_closes_no_help_and_scrolls_nothing(
    client: Client, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch, is_reachable: bool
) -> None:
    monkeypatch.setattr(lead_window, "REFRESH_PENDING_S", 0.1)
    monkeypatch.setattr(lead_window, "RETRY_S", 0.1)
    session = make_session([client.submit()])
    pending, ready = {**NO_TEXT, "state": "pending"}, {**NO_TEXT, "state": "done", "text": "ready"}
    answers = [pending]

    def fetch(_lead: int) -> object:
        if answers == [pending] and not is_reachable:
            raise TryAgain("no response")
        return answers[0]

    session.cv_text = fetch  # type: ignore[method-assign, assignment]

    async def script(screen: Screen) -> None:
        await screen.until("still being extracted" if is_reachable else "Trying again.")
        await screen.press("question_mark", "end", after_s=0)
        await screen.until("Any other key closes this help.")
        await screen.pilot.pause(0.5)  # several answers
        assert "Any other key closes this help." in screen.shown
        assert "j k Space scroll  any other key return" in screen.shown
        answers[0] = ready
        await screen.pilot.pause(0.5)
        assert "Any other key closes this help." in screen.shown
        await screen.press("x", after_s=0)
        await screen.until("ready")

    run(session, script)


def test_a_text_that_is_still_missing_is_not_drawn_again(
    client: Client, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead_window, "REFRESH_PENDING_S", 0.1)
    monkeypatch.setattr(Facts, "fields_text", "\n".join(f"field {number}" for number in range(99)))
    session = make_session([client.submit()])
    session.cv_text = lambda _lead: {**NO_TEXT, "state": "pending"}  # type: ignore[method-assign, assignment]

    async def script(screen: Screen) -> None:
        await screen.until("field 9")
        await screen.press("end", after_s=0)
        await screen.until("still being extracted")
        await screen.pilot.pause(0.5)
        assert "still being extracted" in screen.shown

    run(session, script)


@pytest.mark.parametrize(("name", "part"), [("cv.xyz", "that ends in .xyz"), ("cv", "without an extension")])
def test_opening_a_file_that_is_not_a_document_asks(
    client: Client, make_session: MakeSession, name: str, part: str
) -> None:
    lead = client.submit(cv=b"Experience", cv_name=name)

    async def script(screen: Screen) -> None:
        await screen.ready(lead)
        await screen.press("o")
        await screen.until(f"This CV has a name {part}. Open it?")
        await screen.press("n")
        await screen.until("cancelled")

    run(make_session([lead]), script)


def test_a_long_name_hides_no_warning_beside_the_text(client: Client, make_session: MakeSession) -> None:
    script = b"%PDF-1.4\n1 0 obj << /S /JavaScript /JS (app.alert(1)) >> endobj\n"
    lead = client.submit(f_name="山" * 200, l_name="! " + "山" * 190, email="shown@example.com", cv=script)

    async def check(screen: Screen) -> None:
        await screen.ready(lead)
        side = "".join(row[:28] for row in screen.shown.splitlines())
        for part in ("contains JavaScript", "山", "shown@example.com", "cv.pdf"):
            assert part in side

    run(make_session([lead]), check, size=(100, 15))


def test_fields_are_shown_before_the_text_and_c_clears_a_suspect_lead(
    client: Client, service: Service, make_session: MakeSession
) -> None:
    lead = client.submit(cv=b"the text of the CV", cv_name="cv.txt")
    with closing(sqlite3.connect(service.directory / "intake.db")) as database, database:
        database.execute("UPDATE lead SET suspect = 'too_fast' WHERE id = ?", [lead])
        database.execute("INSERT INTO lead_field VALUES (?, 'story', 'It rained.\nThen\u202e dogs came.', '1')", [lead])
    session = make_session([lead])

    async def script(screen: Screen) -> None:
        await screen.until("suspect: too_fast")
        await screen.until("the text of the CV")
        shown = [line.strip() for line in screen.shown.split("\n")]
        first = shown.index("story: It rained.")
        assert shown[first : first + 4] == ["story: It rained.", "| Then\\u202e dogs came.", "", "the text of the CV"]
        await screen.ready(lead)
        await screen.press("c")
        await screen.until("is not suspect; its mails are queued")
        await screen.ready(lead)
        assert "too_fast" not in screen.shown
        await screen.press("c")
        await screen.until("this lead is not suspect")

    run(session, script)
    assert client.state(lead) == "PENDING"
