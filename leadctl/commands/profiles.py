"""`leadctl profiles`."""

import typer

from leadctl.context import Context, time_left
from leadctl.options import ColumnsOption, FaceOption, HeaderOption, RawOption
from leadctl.output import Face

COLUMNS = ("name", "url", "username", "time_left", "current")


def command(
    ctx: typer.Context,
    face: FaceOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
) -> None:
    """List the profiles: their servers and users, the time left of each token, and a star at the one in use.

    Examples: leadctl profiles

    leadctl profiles -o json
    """
    context: Context = ctx.obj
    look = context.look(COLUMNS, face=face, only=columns, header=header, raw=raw)
    profiles = sorted(context.credentials.profiles, key=lambda profile: profile.name or "")
    current = context.profile.name
    records = [
        {
            "name": profile.name,
            "url": profile.url,
            "username": profile.username,
            "time_left": time_left(profile.left_s, look.face),
            "current": "*" if profile.name == current else "",
        }
        for profile in profiles
    ]
    ids = ({"id": profile.name} for profile in profiles)
    context.show(ids if look.face is Face.IDS else records, look)
