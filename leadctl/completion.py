"""Values offered for shell completion: the server's states, and the stored profiles."""

from pathlib import Path
from threading import Thread
from typing import Any

import typer

from leadctl.context import Context
from leadctl.errors import LeadctlError
from leadctl.settings import Flags, is_profile_name

USUAL_STATES = ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED")
WITHIN_S = 3.0


def states(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the server's states that begin so; the usual ones where it can't be asked, or is slow."""
    known: list[str] = []
    asking = Thread(target=_ask, args=[ctx.find_root().params, known], daemon=True)
    asking.start()
    asking.join(WITHIN_S)
    return [state for state in known or USUAL_STATES if state.startswith(incomplete)]


def profiles(incomplete: str) -> list[str]:
    """Return the names of profiles that begin so."""
    try:
        names = [profile.name or "" for profile in Context(Flags()).credentials.profiles]
    except LeadctlError:
        return []
    return sorted(name for name in names if name.startswith(incomplete) and is_profile_name(name))


def _ask(given: dict[str, Any], known: list[str]) -> None:
    flags = Flags(
        url=given.get("url"),
        profile=given.get("profile"),
        cacert=Path(given["cacert"]) if given.get("cacert") else None,
        insecure_http=bool(given.get("insecure_http")),
        is_quiet=True,
    )
    try:
        known += Context(flags).api_at_hand().stats()["states"]
    except LeadctlError:
        return
