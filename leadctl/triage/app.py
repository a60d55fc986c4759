"""`leadctl triage` on a full screen: what each key does."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from leadctl.change_announcement import may_have_reached_server
from leadctl.errors import LeadctlError, PermissionDenied
from leadctl.output.escapes import escape_control
from leadctl.triage.changes import Result, Step
from leadctl.triage.cv_files import open_file, save_cv
from leadctl.triage.facts import Facts, history_text
from leadctl.triage.help import help_text
from leadctl.triage.keys import KeyGate
from leadctl.triage.lead_window import LeadWindow
from leadctl.triage.messages import login_reason
from leadctl.triage.session import Session
from leadctl.triage.window import Mode


class TriageApp(LeadWindow):
    """Decides, moves, scrolls and opens files. One change at a time is sent."""

    def __init__(
        self, session: Session, keys: Mapping[str, str], *, profile: str, filters: Mapping[str, Any], first: Facts
    ) -> None:
        super().__init__(session, keys, profile=profile, filters=filters, first=first)
        self._gate = KeyGate()
        self._states = {key: state for state, key in keys.items()}
        self._is_busy = self._is_leaving = self._is_signing_in = False
        self._opened: dict[int, Path] = {}
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._actions: Mapping[str, Callable[[], None]] = {
            "s": lambda: self.show_lead(session.skip()),
            "b": partial(self._go, session.back),
            "?": lambda: self.open_page("help", help_text(keys)),
            "/": lambda: self.ask("Search in the text (Esc: cancel)", self._search),
            "n": partial(self._search, ""),
            "N": partial(self._search, "", backwards=True),
            "c": self._clear,
            "h": self._request_history,
            "o": self._open,
            "w": self._save,
        }
        self._scrolls: Mapping[str, Callable[[], None]] = {
            **dict.fromkeys(("j", "down"), partial(self.text.scroll_rows, 1)),
            **dict.fromkeys(("k", "up"), partial(self.text.scroll_rows, -1)),
            **dict.fromkeys(("space", "pagedown"), partial(self.text.scroll_pages, 1)),
            "pageup": partial(self.text.scroll_pages, -1),
            "home": self.text.scroll_to_start,
            "end": self.text.scroll_to_end,
        }

    def run_to_end(self) -> None:
        try:
            super().run_to_end()
        finally:
            if self._directory:  # opened CVs
                self._directory.cleanup()

    def press(self, key: str, at_s: float) -> None:
        if self.mode is Mode.NOTICE and key != "q":
            if self._gate.admits(key, at_s) and not self._is_busy:  # else its result would be shown with another lead
                self._go(self.session.stay if key == "b" else self.session.advance)
        elif self.mode is Mode.PAGE:
            self._scrolls.get(key, self.close_page)()
        elif key == "q":
            self._leave()
        elif key in self._states or key == "u":
            self._change(key, self._reason_to_ignore(key, is_admitted=self._gate.admits(key, at_s)))
        elif key in self._scrolls:
            self._scrolls[key]()
        elif key in self._actions:
            self.say("key ignored: the last change is not confirmed yet") if self._is_busy else self._actions[key]()
        else:
            latin = key.isascii() or len(key) > 1
            hint = "? lists the keys" if latin else "switch the keyboard to Latin letters, or click a key below"
            self.say(f"key ignored: {escape_control(key)}; {hint}")

    def _go(self, move: Callable[[], None]) -> None:
        move()
        self.show_lead("")

    def _leave(self) -> None:
        if self._is_busy and not self._is_leaving:
            self._is_leaving = True
            self.say("waiting for the server's confirmation; press q again to quit at once")
        else:
            self.exit()

    # decisions and undo

    def _reason_to_ignore(self, key: str, *, is_admitted: bool) -> str | None:
        if self._is_busy:
            return "the last change is not confirmed yet"
        if not is_admitted:
            return f"{key} is held down, or pressed too fast"
        if key == "u":
            return None
        if self.session.lead_id is None:
            return "there is no lead here"
        if self.facts is None or not (self.is_fresh and self.has_text):
            return "the lead is not on the screen yet"
        if self._states[key] == self.facts.state and not self.session.unconfirmed:
            return f"the lead is already {escape_control(self.facts.state)}"
        return None

    def _change(self, key: str, reason_to_ignore: str | None) -> None:
        if reason_to_ignore:
            self.say(f"key ignored: {reason_to_ignore}")
            return
        self._is_busy = True
        self.say("…")
        self.start(self.session.undo if key == "u" else partial(self._decide, self._states[key]), self._changed)

    def _decide(self, state: str) -> Result:
        assert self.facts is not None
        return self.session.decide(self.facts, state)

    def _clear(self) -> None:
        if self.facts and self.is_fresh:
            self._is_busy = True
            self.say("…")
            self.start(partial(self.session.clear, self.facts), self._changed)

    def _changed(self, result: Result | LeadctlError) -> None:
        self._is_busy = False
        if self._is_leaving:
            self.exit()
        elif isinstance(result, LeadctlError):
            self.failed(result)
        elif result.step is Step.SHOW:
            self.show_lead(result.text)
        else:
            self.set_mode(Mode.NOTICE if result.step is Step.NOTICE else Mode.LEAD, result.text)

    def failed(self, error: LeadctlError) -> None:
        """Show the error of a request; if the session has ended, ask for a login."""
        if not isinstance(error, PermissionDenied):
            more = "" if may_have_reached_server(error) else " Nothing was changed."
            if self.session.unconfirmed:
                more = f" {self.session.unconfirmed_text()}"
            text = escape_control(error)
            self.say(f"{text}{'' if text.endswith(('.', '?', '!')) else '.'}{more}")
        elif self.mode is not Mode.INPUT and not self._is_signing_in:  # else a late failure would ask twice
            self._ask_password(self.session.user, login_reason(error))

    def _ask_password(self, username: str, reason: str) -> None:
        question = f"{escape_control(f'{reason}. ' if reason else '')}Password for {escape_control(username)}"
        sign_in = partial(self._sign_in, username)
        self.ask(f"{question} (Esc: another user):", sign_in, otherwise=self._ask_username, is_secret=True)

    def _ask_username(self) -> None:
        self.ask("Username (Esc: cancel):", lambda name: self._ask_password(name.strip() or self.session.user, ""))

    def _sign_in(self, username: str, password: str) -> None:
        def signed_in(error: LeadctlError | None) -> None:
            self._is_signing_in = False
            if isinstance(error, PermissionDenied):  # most people type the password again
                self._ask_password(username, str(error))
            elif error:
                self.failed(error)
            else:
                self.show_lead(f"signed in as {escape_control(self.session.user)}")

        self._is_signing_in = True
        self.say("signing in")
        self.start(partial(self.session.sign_in, username, password), signed_in)

    # text, history and files

    def _search(self, text: str, *, backwards: bool = False) -> None:
        self.say(self.text.search(text, backwards=backwards))

    def _request_history(self) -> None:
        if (lead_id := self.session.lead_id) is not None:
            show = self.for_this_lead(partial(self._show_history, lead_id))
            self.start(partial(self.session.api.history, lead_id), show)

    def _show_history(self, lead_id: int, events: Any) -> None:
        if isinstance(events, LeadctlError):
            self.failed(events)
        else:
            self.open_page("history", history_text(lead_id, events))

    def _save(self) -> None:
        if self.facts:
            self.say("downloading")
            self.start(partial(save_cv, self.session.api, self.facts, Path.cwd()), self._saved)

    def _saved(self, path: Path | LeadctlError) -> None:
        self.say(f"saved as {escape_control(path.name)}" if isinstance(path, Path) else escape_control(path))

    def _open(self) -> None:
        if self.facts:
            opening = partial(self._open_now, self.facts)
            if warnings := " and ".join(self.facts.opening_cautions):
                self.confirm(f"This CV {warnings}. Open it?", opening)
            else:
                opening()

    def _open_now(self, facts: Facts) -> None:
        self._directory = self._directory or tempfile.TemporaryDirectory(prefix="leadctl-")
        directory = Path(self._directory.name)

        def work() -> None:
            if facts.lead_id not in self._opened:
                self._opened[facts.lead_id] = save_cv(self.session.api, facts, directory)
            open_file(self._opened[facts.lead_id])

        self.say("opening")
        self.start(work, lambda error: self.say(escape_control(error) if error else "opened"))
