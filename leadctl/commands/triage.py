"""`leadctl triage`."""

import os
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.list_command import StateFilterOption
from leadctl.options import (
    EmailFilterOption,
    FirstNameFilterOption,
    LastNameFilterOption,
    Omitted,
    SinceOption,
    SuspectOption,
    TextFilterOption,
    UntilOption,
)
from leadctl.output.console import discard_output
from leadctl.times import parse_range
from leadctl.triage.keys import assign_keys

if TYPE_CHECKING:  # importing these takes 100 ms
    from leadctl.triage.app import TriageApp
    from leadctl.triage.facts import Facts
    from leadctl.triage.session import Session


def command(
    ctx: typer.Context,
    state: StateFilterOption = None,
    email: EmailFilterOption = None,
    f_name: FirstNameFilterOption = None,
    l_name: LastNameFilterOption = None,
    text: TextFilterOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    sort: Annotated[Literal["id", "-id"], typer.Option(help="Sort by id; -id is newest first.")] = "id",
    plain: Annotated[
        bool, typer.Option("--plain", help="Ask line by line, without a full screen; for screen readers.")
    ] = False,
    suspect: SuspectOption = False,
) -> None:
    """Triage leads one by one: read the CV's text, and decide with one key.

    Without --state, shows the leads in the first state. Each state has a key, which the last line shows; u undoes,
    ? shows all keys, q quits. At the end, prints what was decided, and the id of each change. The audit trail records
    the texts that you read. Omits suspect leads, and says how many; with --suspect, c clears one.

    Examples:
      leadctl triage
      leadctl triage --state ENGAGED --since 7d
    """
    context: Context = ctx.obj
    _check_terminal(is_plain=plain)
    filters = {"state": state, "email": email, "f_name": f_name, "l_name": l_name, "q": text}
    given = {name: value for name, value in {**filters, **parse_range(since, until)}.items() if value is not None}
    omitted = None if suspect else Omitted(context.info)
    start = _Start(context, given, newest_first=sort == "-id", omitted=omitted)
    if plain:
        from leadctl.triage.plain import run_plain  # noqa: PLC0415 - these import rich
    else:
        from leadctl.triage.app import TriageApp  # noqa: PLC0415 - 250 ms, while the first lead is requested
    session, first = start.result()
    if first is None:
        context.info("No leads match")
        if omitted:
            omitted.report()
        return
    code = None
    try:
        if plain:
            run_plain(session, start.keys, context)
        else:
            app = TriageApp(session, start.keys, profile=_profile(context), filters=start.filters, first=first)
            code = _run_screen(context, app)
    finally:  # after Ctrl-C and a signal too: undoing the changes needs their ids
        for line in session.summary():
            context.info(line)
        for one in session.unclear:
            shown = session.shown_id(one)
            context.error(f"change {shown} may have been applied; to undo it: leadctl undo {shown}")
        discard_output()  # the terminal may have been closed
    if omitted:
        omitted.report()
    raise typer.Exit(session.exit_code if code is None else code)


def _run_screen(context: Context, app: "TriageApp") -> int | None:
    """Run the full screen; return the exit code of the signal that ended it, None without a signal."""
    context.receive_messages = app.inform
    try:
        app.run_to_end()
    finally:
        context.receive_messages = None
    return app.signal_code


class _Start:
    """Reads the states, the queue and the first lead in a thread, while the main thread imports the screen."""

    def __init__(
        self, context: Context, given: Mapping[str, Any], *, newest_first: bool, omitted: Omitted | None
    ) -> None:
        self.filters: dict[str, Any] = dict(given)
        self.keys: Mapping[str, str] = {}
        self._context, self._newest_first, self._omitted = context, newest_first, omitted
        self._found: Future[tuple[Session, Facts | None]] = Future()
        _ = context.api  # errors in the settings first
        Thread(target=self._run, daemon=True).start()

    def result(self) -> "tuple[Session, Facts | None]":
        """Wait for the session and the facts about its first lead. Raises LeadctlError."""
        return self._found.result()

    def _run(self) -> None:
        try:
            self._found.set_result(self._read())
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            self._found.set_exception(error)

    def _read(self) -> "tuple[Session, Facts | None]":
        from leadctl.triage.session import Session  # noqa: PLC0415 - it imports rich

        api = self._context.api
        stats = api.stats()
        self.keys = assign_keys(list(stats["states"]), stats["state_keys"])
        self.filters.setdefault("state", list(stats["states"])[:1])
        on_omitted, newest_first = self._omitted.add if self._omitted else None, self._newest_first
        found = api.leads(self.filters, newest_first=newest_first, limit=None, on_omitted=on_omitted)
        ids, states, user = [lead["id"] for lead in found], self.filters["state"], api.me()["username"]
        session = Session(self._context, ids, states=states, user=user, omitted=self._omitted)
        return session, session.load(ids[0]) if ids else None


def _check_terminal(*, is_plain: bool) -> None:
    """Raise UsageError unless the streams are a terminal that can show the screen."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError("triage needs a terminal; in scripts, use leadctl list and leadctl set-state")
    encoding = (sys.stderr.encoding or "").lower()
    if not is_plain and (os.environ.get("TERM") in ("dumb", "unknown") or not encoding.startswith("utf")):
        raise UsageError("this terminal can't show the screen; use leadctl triage --plain")


def _profile(context: Context) -> str:
    return context.profile.name or urlsplit(context.url).netloc
