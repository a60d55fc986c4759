"""The displayed lead: its facts, state and text, loaded in threads."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from leadctl.errors import LeadctlError, NotFound, PermissionDenied, TryAgain
from leadctl.output.escapes import escape_control
from leadctl.output.formats import Record
from leadctl.triage import drawing
from leadctl.triage.drawing import Item
from leadctl.triage.facts import Facts, missing_text, text_label
from leadctl.triage.frame import View
from leadctl.triage.messages import end_text, passed_over_text
from leadctl.triage.session import Session
from leadctl.triage.window import Mode, Window

REFRESH_PENDING_S = 1.0  # between two requests for a text that is still being extracted
RETRY_S = 2.0  # between two attempts to load a lead from an unreachable server


class LeadWindow(Window):
    """Shows the lead at the session's position. Facts are prefetched; the text is requested when it is shown."""

    def __init__(
        self, session: Session, keys: Mapping[str, str], *, profile: str, filters: Mapping[str, Any], first: Facts
    ) -> None:
        super().__init__()
        self.session, self.keys = session, keys
        self.facts: Facts | None = None
        self.is_fresh = self.has_text = False  # whether the present state, and the text or its absence, are shown
        self._profile, self._query = profile, filters
        self.text.words = filters.get("q") or ""
        self._prefetched: Facts | None = first
        self._arrival = ""  # the message that `show_lead` was given
        self._passed: Sequence[tuple[int, str]] = ()  # the leads that were passed over, and who had moved them
        self._is_waiting = False  # whether the screen says that the text is still being extracted
        self._serial = 0  # of the displayed lead; results for an earlier one are dropped

    def on_mount(self) -> None:
        self.show_lead("")

    def failed(self, error: LeadctlError) -> None:
        """Show the error of a request."""
        raise NotImplementedError

    def show_lead(self, message: str, *, passed: Sequence[tuple[int, str]] = ()) -> None:
        """Show the lead at the session's position: prefetched facts at once, its state and text when they arrive.

        `passed` are the leads that were passed over on the way to it, and who had moved them.
        """
        lead_id, known = self.session.lead_id, self._prefetched
        self.facts = known if known and known.lead_id == lead_id else None
        self._arrival, self._passed = message, passed
        self.set_mode(Mode.LEAD, "; ".join(filter(None, [message, passed_over_text(passed)])))
        self._request()

    def _request(self) -> None:
        self._serial += 1
        self.is_fresh = self.has_text = self._is_waiting = False
        if (lead_id := self.session.lead_id) is None:
            text = end_text(self.session.counts(), has_skipped=bool(self.session.skipped))
            self.show_text("", f"{text}\n\nb goes back, u undoes, q quits.")
            self.start(partial(self.session.newer, self._query), self.for_this_lead(self._show_newer))
            return
        self.show_text("loading", "")
        self.start(partial(self._load, lead_id, self.facts), self.for_this_lead(self._show_facts))

    def for_this_lead(self, then: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a function that calls `then` unless another lead is displayed by then."""
        serial = self._serial
        return lambda result: then(result) if serial == self._serial else None

    def _later(self, delay_s: float, work: Callable[[], None]) -> None:
        self.set_timer(delay_s, partial(self.for_this_lead(lambda _: work()), None))

    def _load(self, lead_id: int, known: Facts | None) -> tuple[Facts, str | None]:
        facts = self.session.refresh(known) if known else self.session.load(lead_id)
        return facts, self.session.taken(facts)

    def _show_facts(self, result: tuple[Facts, str | None] | LeadctlError) -> None:
        if isinstance(result, LeadctlError):
            self._loading_failed(result)
            return
        self.facts, taken = result
        if taken and self.session.pass_over():
            self.show_lead(self._arrival, passed=[*self._passed, (self.facts.lead_id, taken)])
            return
        self.is_fresh = True
        self.say(self.message or taken or "")
        self._request_text(self.facts)

    def _request_text(self, facts: Facts) -> None:
        show = self.for_this_lead(partial(self._show_cv_text, facts))
        self.start(partial(self.session.cv_text, facts.lead_id), show)

    def _show_cv_text(self, facts: Facts, result: Record | LeadctlError) -> None:
        if isinstance(result, LeadctlError):
            self._loading_failed(result)
            return
        is_pending = result["state"] == "pending"
        if not (is_pending and self._is_waiting):  # drawing it again would scroll to its start
            self._draw_text(facts.fields_text, result)
        self.has_text, self._is_waiting = True, is_pending
        if is_pending:
            self._later(REFRESH_PENDING_S, partial(self._request_text, facts))
        elif following := self.session.following:
            self.start(partial(self.session.load, following), self._keep_prefetched)

    def _draw_text(self, fields: str, found: Record) -> None:
        """Show the firm's own fields and the CV's text."""
        if missing := missing_text(found):
            self.show_text("no text", fields + missing)
        else:
            starts = [len(fields) + one for one in found["pages"]]
            self.show_text(text_label(found), fields + str(found["text"]), starts)

    def _keep_prefetched(self, result: Facts | LeadctlError) -> None:
        self._prefetched = result if isinstance(result, Facts) else None  # else it is loaded when it is shown

    def _loading_failed(self, error: LeadctlError) -> None:
        if isinstance(error, NotFound):
            self.facts, self.has_text = None, False
            self.set_mode(Mode.NOTICE, f"lead {self.session.lead_id} was erased")
            self.show_text("", "")
        elif isinstance(error, TryAgain):
            self.has_text = False
            self.show_text("not loaded", f"{escape_control(error)}\n\nTrying again.")
            self._later(RETRY_S, self._request)
        elif isinstance(error, PermissionDenied):
            self.failed(error)
        else:
            self.has_text = True
            self.show_text("no text", escape_control(error))

    def _show_newer(self, number: int | LeadctlError) -> None:
        if isinstance(number, int) and number:
            self.say(f"{number} new lead{'s' * (number > 1)} arrived meanwhile: run leadctl triage again")

    def draw(self) -> None:
        session, facts = self.session, self.facts
        self.frame.draw(
            View(
                position=f"{min(session.position + 1, len(session.ids))}/{len(session.ids)}",
                facts=facts,
                who=escape_control(f"{self._profile} · {session.user}"),
                is_first_state=bool(facts and facts.state == next(iter(self.keys))),
                label=self.label,
                message=self.message,
                is_notice=self.mode is Mode.NOTICE,
                is_input=self.mode is Mode.INPUT,
                items=self._items(),
            )
        )

    def _items(self) -> list[Item]:
        """Return the keys that the footer shows."""
        if self.mode is Mode.PAGE:
            return [("j k Space", "scroll", True), ("any other key", "return", True)]
        if self.session.lead_id is None:
            return [("b", "back", True), ("u", "undo", True), ("?", "help", True), ("q", "quit", True)]
        if self.mode is Mode.LEAD:
            clear = [("c", "not spam", True)] if self.facts and self.facts.suspect else []
            return [*drawing.key_items(self.keys, self.facts.state if self.facts else None), *clear]
        if self.mode is Mode.NOTICE:
            return [("any key", "next lead", True), ("b", "stay on this lead", True)]
        return [("y", "yes", True), ("any other key", "no", True)] if self.mode is Mode.CONFIRM else []
