"""`leadctl triage --plain`: the same flow as questions and answers, line by line."""

import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from textwrap import wrap

from leadctl.context import Context
from leadctl.errors import LeadctlError, NotFound, PermissionDenied
from leadctl.output.escapes import escape_control
from leadctl.output.prompts import discard_typed
from leadctl.triage.changes import Result, Step
from leadctl.triage.cv_files import save_cv
from leadctl.triage.facts import Facts, history_text, missing_text, text_label
from leadctl.triage.help import plain_help_text
from leadctl.triage.keys import bracketed
from leadctl.triage.messages import end_text, login_reason, passed_over_text
from leadctl.triage.pages import Pages, Place
from leadctl.triage.pages import wrap as wrap_line
from leadctl.triage.session import Session

MIN_COLUMNS = 20
QUESTION_ROWS = 3  # below a page of the text
_NO_BREAK = "\N{NO-BREAK SPACE}"


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
        self._is_stale = False  # the displayed lead, because a colleague changed it

    def run(self) -> None:
        """Go through the queue; at its end, undo and going back are still possible."""
        with suppress(Quit, EOFError):
            while True:
                lead_id = self._session.lead_id
                if lead_id is None:
                    self._print(f"\n{end_text(self._session.counts(), has_skipped=bool(self._session.skipped))}")
                    self._act(None, self._read("[b]ack, [u]ndo, [q]uit? "))
                else:
                    self._retrying(partial(self._show, lead_id))

    def _show(self, lead_id: int) -> None:
        """Show a lead until the position changes. Raises LeadctlError."""
        session, self._is_stale = self._session, False
        try:
            facts = session.load(lead_id)
            taken = session.taken(facts)
            if taken and session.pass_over():
                self._print(passed_over_text([(lead_id, taken)]))
                return
            cv_text = session.cv_text(lead_id)
        except NotFound:
            self._notice(f"lead {lead_id} was erased")
            return
        position = f"{session.position + 1}/{len(session.ids)}"
        missing = missing_text(cv_text, plain=True)
        heading = [
            *("", f"{position}  Lead {lead_id}, {facts.state}, received {facts.age} ago"),
            *([taken] if taken else []),
            *facts.lines(),
            f"--- {'no text' if missing else text_label(cv_text)} ---",
        ]
        self._print("\n".join(heading))
        text = facts.fields_text + (missing or str(cv_text["text"]))
        self._ask(facts, Pages(text), used=len(heading), is_pending=cv_text["state"] == "pending")

    def _ask(self, facts: Facts, pages: Pages, *, used: int, is_pending: bool) -> None:
        """Print the text page by page; after each page, ask. The first page leaves room for the `used` rows above."""
        place = self._print_page(pages, Place(), used=used)
        position = self._session.position
        while self._session.position == position:
            states = [bracketed(state, key) for state, key in self._keys.items() if state != facts.state]
            more = ["Enter: more"] if place else ["Enter: look again"] if is_pending else []
            clear = ["[c]lear: not spam"] if facts.suspect else []
            others = ["[s]kip", *clear, "[b]ack", "[u]ndo", "[h]istory", "[w]rite the file", "[?] help", "[q]uit"]
            key = self._read(f"{', '.join([*more, *states, *others])}? ")
            if key:
                if self._act(facts, key):
                    return
            elif place:
                place = self._print_page(pages, place)
            elif is_pending:
                return

    def _print_page(self, pages: Pages, place: Place, *, used: int = 0) -> Place | None:
        """Print the rows that fit the terminal; return the place of the next row, None at the end."""
        columns, rows = shutil.get_terminal_size()
        width, height = max(columns, MIN_COLUMNS), max(rows - used - QUESTION_ROWS, 5)
        shown = list(islice(pages.below(place, width), height + 1))
        for _, row in shown[:height]:
            self._print(row.rstrip())
        return shown[-1][0] if len(shown) > height else None

    def _act(self, facts: Facts | None, key: str) -> bool:
        """Act on an answer; return whether the lead must be shown again."""
        if key == "q":
            raise Quit
        if key == "b":
            self._session.back()
        elif key == "u":
            self._retrying(lambda: self._finish(self._session.undo()))
        elif key == "?":
            self._print(_wrapped(plain_help_text(self._keys)))
        elif facts:
            return self._act_on(facts, key)
        else:
            self._print(f"{key!r} ignored")
        return key in ("b", "u")

    def _act_on(self, facts: Facts, key: str) -> bool:
        """Act on the displayed lead; return whether it must be shown again."""
        session = self._session
        if key == "s":
            self._print(session.skip())
        elif key in self._states and self._states[key] != facts.state:
            self._retrying(lambda: self._finish(session.decide(facts, self._states[key])))
            return self._is_stale or session.lead_id != facts.lead_id
        elif key == "h":
            self._retrying(lambda: self._print(history_text(facts.lead_id, session.api.history(facts.lead_id))))
        elif key == "c":
            self._retrying(lambda: self._finish(session.clear(facts)))
            return facts.suspect is not None
        elif key == "w":
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
        if answer == "b":
            self._session.stay()
            self._is_stale = True
        else:
            self._session.advance()

    def _retrying(self, work: Callable[[], None]) -> None:
        """Work; print an error, and offer to try again, to skip the lead, or to sign in."""
        while True:
            try:
                work()
                return
            except PermissionDenied as error:
                self._print(login_reason(error))
                self._sign_in()
            except LeadctlError as error:
                self._print(str(error))
                if self._session.unconfirmed:
                    self._print(self._session.unconfirmed_text())
                answer = self._read(f"[r]etry, {'' if self._session.lead_id is None else '[s]kip, '}[q]uit? ")
                if answer == "q":
                    raise Quit from error
                if answer == "s" and self._session.lead_id is not None:
                    self._print(self._session.skip())
                    return

    def _sign_in(self) -> None:
        """Ask for the password, of another user after an empty one, until it is right."""
        username = self._session.user
        while True:
            password = self._context.password(from_stdin=False, what=f"Password for {username} (Enter: another user)")
            if not password:
                username = self._read(f"Username [{self._session.user}]:") or self._session.user
                continue
            try:
                self._session.sign_in(username, password)
                return
            except LeadctlError as error:
                self._print(str(error))
                if not isinstance(error, PermissionDenied):  # most people type the password again
                    return

    def _read(self, question: str) -> str:
        """Return the answer in lower case; what was typed before the question is discarded."""
        sys.stdout.flush()
        discard_typed(sys.stdin)
        whole = escape_control(question).replace(" ", _NO_BREAK).replace(f",{_NO_BREAK}", ", ")  # break between answers
        sys.stdout.write("\n".join(wrap(whole, _columns() - 1)).replace(_NO_BREAK, " ") + " ")
        sys.stdout.flush()
        if not (line := sys.stdin.readline()).endswith("\n"):  # the end, perhaps behind letters without Enter
            raise EOFError
        return line.strip().lower()

    def _print(self, text: str) -> None:
        for line in text.split("\n"):
            sys.stdout.write(f"{escape_control(line)}\n")


def _columns() -> int:
    return max(shutil.get_terminal_size().columns, MIN_COLUMNS)


def _wrapped(text: str) -> str:
    """Return a text whose lines are broken between words."""
    return "\n".join(row.rstrip() for line in text.split("\n") for row in wrap_line(line, _columns()))
