"""`leadctl triage --plain`: the same flow as questions and answers, line by line."""

import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

from leadctl.context import Context
from leadctl.errors import LeadctlError, NotFound, PermissionDenied
from leadctl.output.escapes import escape_control
from leadctl.output.prompts import discard_typed
from leadctl.triage.cv_files import save_cv
from leadctl.triage.facts import Facts, history_text, missing_text, text_label
from leadctl.triage.keys import bracketed
from leadctl.triage.pages import Pages, Place
from leadctl.triage.session import Result, Session, Step

MIN_COLUMNS = 20


def run_plain(session: Session, keys: Mapping[str, str], context: Context) -> None:
    """Ask about each lead until the end of the queue, or until the user quits."""
    Plain(session, keys, context).run()


class Quit(Exception):
    """The user quits."""


class Plain:
    """Prints facts and text, and asks for a decision."""

    def __init__(self, session: Session, keys: Mapping[str, str], context: Context) -> None:
        self._session, self._keys, self._context = session, keys, context
        self._states = {key: state for state, key in keys.items()}

    def run(self) -> None:
        """Go through the queue; at its end, undo and going back are still possible."""
        with suppress(Quit, EOFError):
            while True:
                lead_id = self._session.lead_id
                if lead_id is None:
                    self._print(f"\n{len(self._session.ids)} leads were shown.")
                    self._answer(None, "[b]ack, [u]ndo, [q]uit? ")
                else:
                    self._retrying(partial(self._show, lead_id))

    def _show(self, lead_id: int) -> None:
        """Show a lead until the position changes. Raises LeadctlError."""
        session = self._session
        try:
            facts = session.load(lead_id)
            if taken := session.taken(facts):
                self._notice(taken)
                return
            cv_text = session.cv_text(lead_id)
        except NotFound:
            self._notice(f"lead {lead_id} was erased")
            return
        position = f"{session.position + 1}/{len(session.ids)}"
        self._print(f"\n{position}  Lead {lead_id}, {facts.state}, received {facts.age} ago")
        for line in facts.lines():
            self._print(line)
        missing = missing_text(cv_text, plain=True)
        self._print(f"--- {'no text' if missing else text_label(cv_text)} ---")
        text = facts.fields_text + (missing or str(cv_text["text"]))
        self._ask(facts, Pages(text), is_pending=cv_text["state"] == "pending")

    def _ask(self, facts: Facts, pages: Pages, *, is_pending: bool) -> None:
        """Print the text page by page; after each page, ask."""
        place: Place | None = Place()
        position = self._session.position
        while self._session.position == position:
            place = self._print_page(pages, place) if place else None
            states = [bracketed(state, key) for state, key in self._keys.items() if state != facts.state]
            more = ["Enter: more"] if place else ["Enter: look again"] if is_pending else []
            clear = ["[c]lear: not spam"] if facts.suspect else []
            others = ["[s]kip", *clear, "[b]ack", "[u]ndo", "[h]istory", "[w]rite the file", "[q]uit"]
            shown_again = self._answer(facts, f"{', '.join([*more, *states, *others])}? ")
            if shown_again or (is_pending and not place):
                return

    def _print_page(self, pages: Pages, place: Place) -> Place | None:
        """Print the rows that fit the terminal; return the place of the next row, None at the end."""
        columns, rows = shutil.get_terminal_size()
        width = max(columns, MIN_COLUMNS)
        shown = list(islice(pages.below(place, width), max(rows - 3, 5) + 1))
        for _, row in shown[: max(rows - 3, 5)]:
            self._print(row.rstrip())
        return shown[-1][0] if len(shown) > max(rows - 3, 5) else None

    def _answer(self, facts: Facts | None, question: str) -> bool:
        """Ask once and act; return whether the lead must be shown again."""
        key, session = self._read(question), self._session
        if not key:
            return False
        actions: Mapping[str, Callable[[], None]] = {"s": session.skip, "b": session.back, "q": self._quit}
        if key in actions:
            actions[key]()
            return key == "b"
        if key == "u":
            self._retrying(lambda: self._finish(session.undo()))
            return True
        if facts and key in self._states and self._states[key] != facts.state:
            self._retrying(lambda: self._finish(session.decide(facts, self._states[key])))
            return session.lead_id != facts.lead_id
        if facts and key == "h":
            self._retrying(lambda: self._print(history_text(facts.lead_id, session.api.history(facts.lead_id))))
        elif facts and key == "c":
            self._retrying(lambda: self._finish(session.clear(facts)))
            return facts.suspect is not None
        elif facts and key == "w":
            self._retrying(lambda: self._print(f"saved as {save_cv(session.api, facts, Path.cwd()).name}"))
        else:
            self._print(f"{key!r} ignored")
        return False

    def _finish(self, result: Result) -> None:
        if result.step is Step.NOTICE:
            self._notice(result.text)
        else:
            self._print(result.text)

    def _notice(self, text: str) -> None:
        self._print(text)
        answer = self._read("Enter: next lead, [b]: stay, [q]uit? ")
        if answer == "q":
            raise Quit
        if answer != "b":
            self._session.advance()

    def _retrying(self, work: Callable[[], None]) -> None:
        """Work; print an error, and offer to try again or to sign in."""
        while True:
            try:
                work()
                return
            except PermissionDenied as error:
                self._print(f"{error}")
                self._sign_in()
            except LeadctlError as error:
                self._print(str(error))
                if self._session.unconfirmed:
                    self._print(self._session.unconfirmed_text())
                answer = self._read("[r]etry, [q]uit? ")
                if answer == "q":
                    raise Quit from error

    def _sign_in(self) -> None:
        username = self._read(f"Username [{self._session.user}]: ") or self._session.user
        password = self._context.password(from_stdin=False, what=f"Password for {username}")
        try:
            self._session.sign_in(username, password)
        except LeadctlError as error:
            self._print(str(error))

    def _read(self, question: str) -> str:
        """Return the answer in lower case; what was typed before the question is discarded."""
        sys.stdout.flush()
        discard_typed(sys.stdin)
        sys.stdout.write(escape_control(question))
        sys.stdout.flush()
        if not (line := sys.stdin.readline()):
            raise EOFError
        return line.strip().lower()

    def _print(self, text: str) -> None:
        for line in text.split("\n"):
            sys.stdout.write(f"{escape_control(line)}\n")

    def _quit(self) -> None:
        raise Quit
