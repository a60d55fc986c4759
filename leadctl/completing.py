"""What a shell is offered for a value: the server's states, and the profiles that are kept."""

import typer

from leadctl.context import Context
from leadctl.errors import LeadctlError
from leadctl.settings import Flags

USUAL_STATES = ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED")


def states(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the server's states that begin so; the usual ones where it can't be asked."""
    given = ctx.find_root().params
    try:
        known = list(Context(Flags(url=given.get("url"), profile=given.get("profile"))).api.stats()["states"])
    except LeadctlError:
        known = list(USUAL_STATES)
    return [state for state in known if state.startswith(incomplete)]


def profiles(incomplete: str) -> list[str]:
    """Return the names of profiles that begin so."""
    names = [profile.name or "" for profile in Context(Flags()).credentials.profiles]
    return sorted(name for name in names if name.startswith(incomplete))
