"""Values offered for shell completion: the server's states, and the stored profiles."""

from threading import Thread
from typing import Any

import typer

from leadctl.context import Context
from leadctl.errors import LeadctlError
from leadctl.settings import Flags, is_profile_name

DEFAULT_STATES = ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED")
TIMEOUT_S = 3.0


def states(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the server's states with this prefix; the default states if it is unavailable or slow."""
    known: list[str] = []
    thread = Thread(target=_fetch_states, args=[ctx.find_root().params, known], daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    return [state for state in known or DEFAULT_STATES if state.startswith(incomplete)]


def profiles(incomplete: str) -> list[str]:
    """Return the names of stored profiles with this prefix."""
    try:
        names = [profile.name or "" for profile in Context(Flags()).credentials.profiles]
    except LeadctlError:
        return []
    return sorted(name for name in names if name.startswith(incomplete) and is_profile_name(name))


def _fetch_states(options: dict[str, Any], known: list[str]) -> None:
    try:
        known += Context(Flags.from_options(options)).api_without_renewal().stats()["states"]
    except LeadctlError:
        return
