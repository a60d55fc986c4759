"""`leadctl profiles`."""

from typing import Annotated

import typer

from leadctl.context import Context, time_left
from leadctl.output import Face, write_records

COLUMNS = ("name", "url", "username", "time_left", "current")


def command(
    ctx: typer.Context,
    face: Annotated[Face | None, typer.Option("--output", "-o", help="How to show them.")] = None,
) -> None:
    """List the profiles: their servers and users, the time left of each token, and a star at the one in use.

    Examples: leadctl profiles

    leadctl profiles -o json
    """
    context: Context = ctx.obj
    shown = face or context.default_face
    profiles = sorted(context.credentials.profiles, key=lambda profile: profile.name or "")
    current = context.profile.name
    records = [
        {
            "name": profile.name,
            "url": profile.url,
            "username": profile.username,
            "time_left": time_left(profile.left_s, shown),
            "current": "*" if profile.name == current else "",
        }
        for profile in profiles
    ]
    ids = ({"id": profile.name} for profile in profiles)
    write_records(ids if shown is Face.IDS else records, COLUMNS, face=shown, out=context.out)
