"""`leadctl login`."""

from dataclasses import replace
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.options import PasswordStdinOption


def command(
    ctx: typer.Context,
    username: Annotated[
        str | None, typer.Option("--username", "-u", metavar="NAME", help="User name. Default: prompt.")
    ] = None,
    password_stdin: PasswordStdinOption = False,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Profile to save the login in. Default: the current one.")
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Server; saved in the profile.")] = None,
    password_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Command that prints the password; used for automatic logins.")
    ] = None,
) -> None:
    """Log in and save the token.

    The profile becomes the current one, which commands use unless a flag or the environment selects another. Commands
    renew the token for up to 12 hours. A profile with a password command is for jobs and does not become the current
    one; select it with --profile or leadctl profiles use.

    Examples:
      leadctl login --profile prod --url https://intake.example.com
      leadctl login --profile cron -u cron --password-command 'pass show intake'
    """
    from leadctl.configuration.session import with_login  # noqa: PLC0415 - 10 ms, which help need not pay

    context: Context = ctx.obj
    profile_before = context.select_server(url=url, profile=profile)
    if password_command and not context.has_named_profile:
        raise UsageError("--password-command requires --profile")
    name = username or profile_before.username or context.ask("Username", "--username")
    if profile_before.password_command and name != profile_before.username and not context.has_profile_flag:
        raise UsageError(
            f"profile {profile_before.name} logs in as {profile_before.username} by its password command;"
            f" to replace it: --profile {profile_before.name}"
        )
    # the saved command is only for the user it was saved for
    command = password_command or (profile_before.password_command if name == profile_before.username else None)
    login = context.anonymous_api.login(name, _password(context, None if password_stdin else command, password_stdin))
    saved = with_login(replace(profile_before, username=name, password_command=command), login)
    # a job's login must not change the person's current profile
    context.credentials.save(saved, make_current=command is None)
    context.info(f"logged in to {context.url} as {name} for {login.expires_in // 60} minutes (profile {saved.name})")
    current = context.credentials.current
    if current is None or current.name != saved.name:
        present = f"the current profile is still {current.name}" if current else "there is no current profile"
        context.info(f"{present}; to use this one: --profile {saved.name}, or leadctl profiles use {saved.name}")


def _password(context: Context, command: str | None, from_stdin: bool) -> str:
    from leadctl.configuration.session import run_password_command  # noqa: PLC0415

    return run_password_command(command) if command else context.password(from_stdin=from_stdin)
