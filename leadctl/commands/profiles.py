"""`leadctl profiles` and `leadctl profiles use`."""

from typing import Annotated

import typer

from leadctl.completion import profiles as profile_names
from leadctl.context import Context, time_left
from leadctl.errors import UsageError
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, RawOption
from leadctl.output.formats import OutputFormat

COLUMNS = ("name", "url", "username", "time_left", "current")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def list_profiles(
    ctx: typer.Context,
    face: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
) -> None:
    """List the profiles: their servers and users, the time left of each token, and a star at the one in use.

    Examples: leadctl profiles

    leadctl profiles -o json

    leadctl profiles use prod
    """
    if ctx.invoked_subcommand is not None:
        return
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
    context.show(ids if look.face is OutputFormat.IDS else records, look)


@app.command()
def use(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=profile_names)],
) -> None:
    """Make a profile the current one. Commands use it unless they name another.

    Examples: leadctl profiles use prod

    leadctl profiles use default
    """
    context: Context = ctx.obj
    profile = context.credentials.profile(name)
    if profile is None:
        raise UsageError(f"there is no profile {name}; `leadctl profiles` lists them")
    context.credentials.use(name)
    context.say(f"commands that name no profile now use {name}: {profile.username or 'nobody'} at {profile.url}")
