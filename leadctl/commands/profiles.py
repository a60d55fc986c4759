"""`leadctl profiles` and `leadctl profiles use`."""

from typing import Annotated

import typer

from leadctl.completion import profiles as profile_names
from leadctl.context import Context, format_time_left
from leadctl.errors import UsageError
from leadctl.list_command import Listing, list_command
from leadctl.output.formats import OutputFormat

COLUMNS = ("name", "url", "username", "time_left", "current")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
@list_command("profiles", COLUMNS, has_limit=False)
def list_profiles(listing: Listing) -> None:
    """List the profiles.

    Shows the time left of each token, and marks with * the profile that commands use: the one in
    --profile or LEADCTL_PROFILE, otherwise the current one.

    Examples:
      leadctl profiles
      leadctl profiles -o json
    """
    if listing.has_subcommand:
        return
    context, output_format = listing.context, listing.options.output_format
    profiles = sorted(context.credentials.profiles, key=lambda profile: profile.name or "")
    current = context.profile.name
    records = [
        {
            "name": profile.name,
            "url": profile.url,
            "username": profile.username,
            "time_left": format_time_left(profile.remaining_s, output_format),
            "current": "*" if profile.name == current else "",
        }
        for profile in profiles
    ]
    ids = [{"id": profile.name} for profile in profiles]
    listing.show(ids if output_format is OutputFormat.IDS else records)


@app.command()
def use(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Profile name.", autocompletion=profile_names)],
) -> None:
    """Make a profile the current one, which commands use by default.

    Examples:
      leadctl profiles use prod
      leadctl profiles use default
    """
    context: Context = ctx.obj
    profile = context.credentials.profile(name)
    if profile is None:
        raise UsageError(f"there is no profile {name}; leadctl profiles lists them")
    context.credentials.save(profile, make_current=True)
    context.info(f"current profile: {name} ({profile.username or 'not logged in'} at {profile.url})")
