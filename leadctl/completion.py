"""Values offered for shell completion: states, change ids, stored profiles, columns and help topics."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import typer

from leadctl.change_ids import SHORT_ID_CHARS
from leadctl.context import Context
from leadctl.errors import LeadctlError
from leadctl.settings import Flags, is_profile_name

if TYPE_CHECKING:  # importing it takes 95 ms
    from leadctl.api import Api

DEFAULT_STATES = ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED")
TIMEOUT_S = 3.0
RECENT_CHANGES = 50


def states(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the server's states with this prefix, in the case of the prefix; defaults if it is unavailable or slow."""
    known = _fetch(ctx, lambda api: api.stats()["states"]) or DEFAULT_STATES
    offered = [state.lower() for state in known] if incomplete.islower() else known
    return [state for state in offered if state.startswith(incomplete)]


def listed_states(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the last of several states that are separated by commas."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{state}" for state in states(ctx, last)]


def change_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of the user's latest changes with this prefix, short unless it is longer."""
    found = _fetch(ctx, lambda api: [str(change["id"]) for change in api.changes(RECENT_CHANGES, mine=True)])
    length = SHORT_ID_CHARS if len(incomplete) <= SHORT_ID_CHARS else None
    return [change[:length] for change in found if change.startswith(incomplete)]


def complete_columns(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return a function that completes the last name in a comma-separated list."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        given = before.split(",")
        return [f"{before}{comma}{name}" for name in known if name.startswith(last) and name not in given]

    return complete


def help_topics(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the commands, and exit-codes, with this prefix."""
    root: Any = ctx.find_root()
    return [name for name in (*root.command.list_commands(root), "exit-codes") if name.startswith(incomplete)]


def profiles(incomplete: str) -> list[str]:
    """Return the names of stored profiles with this prefix."""
    try:
        names = [profile.name or "" for profile in Context(Flags()).credentials.profiles]
    except LeadctlError:
        return []
    return sorted(name for name in names if name.startswith(incomplete) and is_profile_name(name))


# of every option or argument that is a state
STATE: Mapping[str, Any] = {"parser": str.upper, "autocompletion": states, "metavar": "STATE"}


def _fetch(ctx: typer.Context, request: "Callable[[Api], Iterable[str]]") -> list[str]:
    """Return what the server answers in time; nothing if it is unavailable or slow."""
    answers: list[str] = []
    flags = Flags(**{name: value for name, value in ctx.find_root().params.items() if value and name != "show_version"})

    def ask() -> None:
        with suppress(LeadctlError):
            answers.extend(request(Context(flags).api_without_renewal()))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    return list(answers)
