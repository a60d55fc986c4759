"""`leadctl login`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from leadctl.configuration.credentials import Profile
from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.options import PasswordStdinOption

if TYPE_CHECKING:  # importing it takes 95 ms
    from leadctl.api import Login


def command(
    ctx: typer.Context,
    username: Annotated[
        str | None, typer.Option("--username", "-u", metavar="NAME", help="User name. Default: prompt.")
    ] = None,
    password_stdin: PasswordStdinOption = False,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Profile to save the login in; required with --password-command. Default: the current one if it is for"
            " this server, otherwise default or default-HOST.",
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Server; saved in the profile.")] = None,
    password_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Command that prints the password; used for automatic logins.")
    ] = None,
) -> None:
    """Log in and save the token.

    On a terminal, asks for the server if none is known, for the user name and for the password.

    The profile becomes the current one, which commands use unless a flag or the environment selects another. Commands
    renew the token for up to 12 hours. A profile with a password command is for jobs and does not become the current
    one; select it with --profile or leadctl profiles use.

    Examples:
      leadctl login --profile prod --url https://intake.example.com
      leadctl login --profile cron -u cron --password-command 'pass show intake'
    """
    from leadctl.configuration.session import run_password_command, with_login  # noqa: PLC0415 - it imports httpx2

    context: Context = ctx.obj
    profile_before = context.select_server(url=url, profile=profile)
    if password_command and not context.settings.profile:
        raise UsageError("--password-command requires --profile")
    host = urlsplit(profile_before.url).netloc
    name = username or profile_before.username or context.ask(f"Username at {host}", "--username")
    if profile_before.password_command and name != profile_before.username and not context.flags.profile:
        raise UsageError(
            f"profile {profile_before.name} logs in as {profile_before.username} by its password command;"
            f" to replace it: --profile {profile_before.name}"
        )
    # the saved command is only for the user it was saved for
    command = password_command or (profile_before.password_command if name == profile_before.username else None)
    password = (
        run_password_command(command)
        if command and not password_stdin
        else context.password(from_stdin=password_stdin, what=f"Password for {name} at {host}")
    )
    login = context.anonymous_api.login(name, password)
    saved = with_login(replace(profile_before, username=name, password_command=command), login)
    # a job's login must not change the person's current profile
    context.credentials.save(saved, make_current=command is None)
    context.info(f"logged in to {context.url} as {name} (profile {saved.name}); {_duration(saved, login)}")
    current = context.credentials.current
    if current is None or current.name != saved.name:
        present = f"the current profile is still {current.name}" if current else "there is no current profile"
        context.info(f"{present}; to use this one: --profile {saved.name}, or leadctl profiles use {saved.name}")


def _duration(profile: Profile, login: "Login") -> str:
    from leadctl.configuration.session import SESSION_S  # noqa: PLC0415

    if profile.password_command:
        return "the password command renews the login"
    return f"valid for {login.expires_in // 60} minutes, and commands renew it for up to {SESSION_S // 3600} hours"
