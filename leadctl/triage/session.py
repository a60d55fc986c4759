"""The queue of leads, decisions, conflicts and undo; used by the screen and by `--plain`."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from leadctl.change_announcement import may_have_reached_server
from leadctl.change_ids import SHORT_ID_CHARS
from leadctl.context import Context
from leadctl.errors import ExitCode, LeadctlError, NotFound, TryAgain, UnexpectedResponse, UsageError
from leadctl.options import Omitted
from leadctl.output.escapes import escape_control
from leadctl.output.formats import Record
from leadctl.output.tables import cut
from leadctl.retries import retry_call
from leadctl.triage.changes import Decision, Result, Step, Undo
from leadctl.triage.facts import Facts
from leadctl.triage.messages import describe_move

if TYPE_CHECKING:
    from leadctl.api import Api

ATTEMPTS = 3  # of a change whose outcome is unknown, before the user is asked
NAME_COLUMNS = 30  # of the name in a message
MAX_OTHERS = 20  # other leads of the same address that are read

T = TypeVar("T")


class Session:
    """One run of `leadctl triage`. Its requests block; the front end makes at most one change at a time."""

    def __init__(
        self,
        context: Context,
        ids: Sequence[int],
        *,
        states: Collection[str],
        user: str,
        omitted: Omitted | None = None,
    ) -> None:
        self.ids, self.position = ids, 0
        self.user = user
        self.expected = set(states)
        self.skipped: set[int] = set()
        self.conflicts: set[int] = set()
        self.passed_over: set[int] = set()  # leads that others had moved before they were shown
        self.unconfirmed: Decision | Undo | None = None
        self._given_up: list[Decision | Undo] = []  # skipped while unconfirmed
        self.is_unreachable = False
        self._is_forward = True  # whether the last move was towards the end of the queue
        self.omitted = omitted  # counts suspect leads, unless they are in the queue
        self._context = context
        self._decided: dict[int, Decision] = {}  # the last one of each lead
        self._made: list[Decision] = []  # those that are not undone
        self._undoable: list[Decision] = []

    @property
    def api(self) -> "Api":
        """The API, with the token of the present user."""
        return self._context.api

    @property
    def lead_id(self) -> int | None:
        """The lead at the present position; None after the last one."""
        return self.ids[self.position] if self.position < len(self.ids) else None

    @property
    def following(self) -> int | None:
        """The lead after the present one."""
        return self.ids[self.position + 1] if self.position + 1 < len(self.ids) else None

    def skip(self) -> str:
        """Go to the next lead without a decision; return the message."""
        lead_id = self.lead_id
        self.advance()
        self._give_up()  # a lead whose change always fails must not block the others
        if lead_id is None or lead_id in self._decided or lead_id in self.passed_over:
            return ""
        self.skipped.add(lead_id)
        return f"lead {lead_id} skipped (b goes back)"

    def stay(self) -> None:
        """Show this lead again."""
        self._go_to(self.position)

    def advance(self) -> None:
        self.position, self._is_forward = min(self.position + 1, len(self.ids)), True

    def back(self) -> None:
        self._go_to(max(self.position - 1, 0))

    def pass_over(self) -> bool:
        """Go to the next lead if this one was reached by going forward; return whether it was."""
        if self._is_forward and self.lead_id is not None:
            if isinstance(self.unconfirmed, Decision) and self.unconfirmed.lead_id == self.lead_id:
                self._give_up()
            self.passed_over.add(self.lead_id)
            self.advance()
            return True
        return False

    def _give_up(self) -> None:
        """Confirm no change any more; the summary names it."""
        if self.unconfirmed:
            self._given_up.append(self.unconfirmed)
            if isinstance(self.unconfirmed, Decision):
                self._undoable.append(self.unconfirmed)
            self.unconfirmed = None

    def _go_to(self, position: int) -> None:
        """Go to a lead that the user wants to see, whoever has moved it."""
        self.position, self._is_forward = position, False

    def load(self, lead_id: int) -> Facts:
        """Return the facts about a lead. Raises LeadctlError."""
        lead = self.request(lambda: self.api.lead(lead_id))
        found = self.api.leads_of(lead["email"], limit=MAX_OTHERS)
        return Facts(lead, [one for one in found if one["id"] != lead_id])

    def refresh(self, facts: Facts) -> Facts:
        """Return the facts with the lead's present state. Raises LeadctlError, NotFound if it was erased."""
        return Facts(self.request(lambda: self.api.lead(facts.lead_id)), facts.others)

    def taken(self, facts: Facts) -> str | None:
        """Return who has moved a lead out of the queue's states; None if nobody did. Raises LeadctlError."""
        mine = self._decided.get(facts.lead_id)
        if facts.state in self.expected or (mine and mine.state == facts.state):
            return None
        history = self.request(lambda: self.api.history(facts.lead_id))
        last: Mapping[str, Any] = history[-1] if history else {}
        return describe_move(last.get("user"), last.get("at"), facts.state, self.user)

    def cv_text(self, lead_id: int) -> Record:
        """Return the text of a lead's CV; the server records the delivery. Raises LeadctlError."""
        return self.request(lambda: self.api.cv_text(lead_id))

    def newer(self, filters: Mapping[str, Any]) -> int:
        """Return the number of matching leads, up to a page, that arrived after the queue was read."""
        newest = max(self.ids)
        omit = (lambda _count: None) if self.omitted else None
        found = self.api.leads(filters, newest_first=True, limit=1000, on_omitted=omit)
        return sum(1 for _ in takewhile(lambda lead: lead["id"] > newest, found))

    def clear(self, facts: Facts) -> Result:
        """Clear the displayed lead if it is suspect, and stay on it. Raises LeadctlError."""
        if not facts.suspect:
            return Result("this lead is not suspect", Step.STAY)
        self.request(lambda: self.api.clear_suspect(facts.lead_id))
        return Result(f"lead {facts.lead_id} is not suspect; its mails are queued", Step.SHOW)

    def decide(self, facts: Facts, state: str) -> Result:
        """Move the lead from the displayed state to `state`, never over another user's change. Raises LeadctlError."""
        pending = self.unconfirmed
        if isinstance(pending, Undo) or (pending and (pending.lead_id, pending.state) != (facts.lead_id, state)):
            return Result(self.unconfirmed_text(), Step.STAY)
        decision = pending or Decision(uuid4(), facts.lead_id, facts.state, state, facts.full_name)
        [outcome] = self._send(decision, partial(self._set_state, decision))
        result = self._result(decision, outcome, facts.name)
        self.unconfirmed = None
        return result

    def undo(self) -> Result:
        """Undo the last decision of this session that is not undone. Raises LeadctlError."""
        if self.unconfirmed and not isinstance(self.unconfirmed, Undo):
            return Result(self.unconfirmed_text(), Step.STAY)
        if not self._undoable:
            return Result("nothing to undo in this session", Step.STAY)
        undo = self.unconfirmed if isinstance(self.unconfirmed, Undo) else Undo(uuid4(), self._undoable[-1])
        try:
            outcomes = self._send(undo, partial(self._undo, undo))
        except NotFound:
            lost = self._undoable.pop()
            if lost in self._given_up:
                self._given_up.remove(lost)
            return Result(f"the server has no change of lead {lost.lead_id} to {escape_control(lost.state)}", Step.STAY)
        result = self._undo_result(self._undoable.pop(), outcomes)
        self.unconfirmed = None
        return result

    def unconfirmed_text(self) -> str:
        """Return what to do about a change whose outcome is unknown."""
        pending = self.unconfirmed
        if isinstance(pending, Undo):
            return f"the undo of lead {pending.decision.lead_id} is not confirmed: press u to try again, or s to skip"
        assert pending is not None
        return f"{pending.state} for lead {pending.lead_id} is not confirmed: press its key to try again, or s to skip"

    def sign_in(self, username: str, password: str) -> None:
        """Log in; another user can't undo the changes of the one before. Raises LeadctlError."""
        profile = self._context.session.profile
        if profile.password_command and username != profile.username:
            raise UsageError(
                f"profile {profile.name} logs in as {profile.username} by its password command;"
                " to sign in as another user, quit and select another profile with --profile"
            )
        login = self._context.anonymous_api.login(username, password)
        self._context.session.use_login(login, username=username)
        user = self._context.api.me()["username"]
        if user != self.user:
            self._give_up()
            self._undoable.clear()
            self.user = user

    def request(self, work: Callable[[], T]) -> T:
        """Return the result of a request, and remember whether the server is reachable."""
        try:
            result = work()
        except TryAgain:
            self.is_unreachable = True
            raise
        self.is_unreachable = False
        return result

    def summary(self) -> list[str]:
        """Return the lines to print at the end: the change ids, and what was decided."""
        made = list(self._made)  # a copy: a thread may add a decision
        lines = [
            f"change {self.shown_id(one)}: lead {one.lead_id}, {cut(one.name, NAME_COLUMNS)} → {one.state}"
            for one in made
        ]
        return [*map(escape_control, lines), self.counts()]

    def shown_id(self, one: Decision | Undo) -> str:
        """Return the id of a change for `leadctl undo`, short unless --verbose is given."""
        return str(one.change)[: None if self._context.flags.verbose else SHORT_ID_CHARS]

    def counts(self) -> str:
        """Return the numbers of leads that were decided, skipped, lost to a colleague, and passed over."""
        decided = list(self._decided.values())
        states = Counter(decision.state for decision in decided)
        listed = escape_control(", ".join(f"{number} {state}" for state, number in states.items()))
        parts = [f"{len(decided)} decided{f' ({listed})' if listed else ''}", f"{len(self.skipped)} skipped"]
        if self.conflicts:
            parts.append(f"{len(self.conflicts)} conflict{'s' * (len(self.conflicts) > 1)}")
        if self.passed_over:
            parts.append(f"{len(self.passed_over)} passed over")
        return ", ".join(parts)

    @property
    def unclear(self) -> "Sequence[Decision | Undo]":
        """The changes that may have been applied."""
        return [*self._given_up, *([self.unconfirmed] if self.unconfirmed else [])]

    @property
    def exit_code(self) -> ExitCode:
        """The program's exit code after quitting."""
        if self.is_unreachable or self.unclear:
            return ExitCode.TRY_AGAIN
        return ExitCode.PARTLY if self.conflicts else ExitCode.DONE

    def _set_state(self, decision: Decision, *, is_repeated: bool) -> Sequence[Record]:
        return self.api.set_states(
            [decision.lead_id],
            decision.state,
            expected=decision.before,
            change=decision.change,
            dry_run=False,
            is_repeated=is_repeated,
        )

    def _undo(self, undo: Undo, *, is_repeated: bool) -> Sequence[Record]:  # noqa: ARG002 - as _set_state
        pages = self.api.undo(undo.decision.change, undoing=undo.change, others=False, dry_run=False)
        return next(iter(pages))

    def _send(self, change: Decision | Undo, work: Callable[..., Sequence[Record]]) -> Sequence[Record]:
        """Send a change; while its outcome is unknown, repeat it with the same id, then leave it `unconfirmed`.

        It is `unconfirmed` from the start, because the user may quit before the response; the caller resets that.
        """

        def attempt() -> Sequence[Record]:
            before, self.unconfirmed = self.unconfirmed, change
            try:
                return self.request(partial(work, is_repeated=before == change))
            except LeadctlError as error:
                if isinstance(error, (NotFound, UsageError)):  # the server refused it
                    self.unconfirmed = None
                elif not (may_have_reached_server(error) or type(error) in (LeadctlError, UnexpectedResponse)):
                    self.unconfirmed = before
                raise

        try:
            return attempt()
        except TryAgain:
            if self.unconfirmed is None:
                raise
            return retry_call(attempt, attempts=ATTEMPTS - 1)

    def _undo_result(self, decision: Decision, outcomes: Sequence[Record]) -> Result:
        if decision in self._given_up:
            self._given_up.remove(decision)
        elif not (outcomes and outcomes[0]["result"] == "moved"):
            self._made.remove(decision)
            self._decided.pop(decision.lead_id, None)
            if earlier := next((one for one in reversed(self._made) if one.lead_id == decision.lead_id), None):
                self._decided[decision.lead_id] = earlier
        self._go_to(self.ids.index(decision.lead_id))
        lead = f"lead {decision.lead_id}"
        if not outcomes:
            return Result(f"{lead} was erased", Step.SHOW)
        if outcomes[0]["result"] == "moved":
            moved = describe_move(outcomes[0].get("by"), outcomes[0].get("at"), outcomes[0]["state"], self.user)
            return Result(f"not undone: {moved}", Step.SHOW)
        already = "already " if outcomes[0]["result"] == "already_undone" else ""
        return Result(f"{lead} is {already}{escape_control(outcomes[0]['state'])} again", Step.SHOW)

    def _result(self, decision: Decision, outcome: Record, name: str) -> Result:
        lead, state = decision.lead_id, escape_control(decision.state)
        if outcome["result"] == "missing":
            return Result(f"lead {lead} was erased", Step.NOTICE)
        if outcome["result"] == "conflict":
            self.conflicts.add(lead)
            return Result(describe_move(outcome.get("by"), outcome.get("at"), outcome["state"], self.user), Step.NOTICE)
        for others in (self.conflicts, self.skipped, self.passed_over):
            others.discard(lead)
        self.advance()
        if outcome["result"] == "unchanged":
            return Result(f"you had already moved lead {lead} to {state}", Step.SHOW)
        self._decided[lead] = decision
        self._made.append(decision)
        self._undoable.append(decision)
        if outcome["state"] != decision.state:  # of a repeated request whose first response was lost
            return Result(
                f"lead {lead} → {state}, but somebody has moved it to {escape_control(outcome['state'])} since",
                Step.SHOW,
            )
        return Result(f"lead {lead}, {cut(name, NAME_COLUMNS)} → {state} (u undoes)", Step.SHOW)
