"""`leadctl login`."""

from dataclasses import replace
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import UsageError


def command(
    ctx: typer.Context,
    username: Annotated[str | None, typer.Option("--username", "-u", help="Who you are; asked for if absent.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    profile: Annotated[str | None, typer.Option(help="Keep the login under this name, beside others.")] = None,
    url: Annotated[str | None, typer.Option(help="The server; the profile remembers it.")] = None,
    password_command: Annotated[
        str | None, typer.Option(help="A program that prints the password; the profile then logs in by itself.")
    ] = None,
) -> None:
    """Log in, and keep the token for the commands that follow.

    They use this login unless they name another with --profile or --url, or LEADCTL_PROFILE or LEADCTL_URL. They renew
    the token while they run, up to 12 hours from now. A profile with a password-command is for a job: commands use it
    where they name it, or after `leadctl profiles use`.

    Examples: leadctl login --profile prod --url https://intake.example.com

    leadctl login --profile cron -u cron --password-command 'pass show intake'
    """
    from leadctl.configuration.session import logged_in  # noqa: PLC0415 - 10 ms that help need not pay

    context: Context = ctx.obj
    kept = context.turn_to(url=url, profile=profile)
    if password_command and not context.names_profile:
        raise UsageError("a password-command is kept in a profile: name one with --profile")
    name = username or (kept.name and kept.username) or context.ask("Username", "--username")
    if kept.password_command and name != kept.username and not context.names_profile_by_flag:
        raise UsageError(
            f"profile {kept.name} logs in by itself as {kept.username}; to replace it: --profile {kept.name}"
        )
    # a command that was kept is for the user that it was kept for, and nobody else
    program = password_command or (kept.password_command if name == kept.username else None)
    login = context.stranger.login(name, _password(context, None if password_stdin else program, password_stdin))
    named = replace(kept, username=name, password_command=program)
    # a job's profile must not change who a person is
    saved = context.credentials.keep(logged_in(named, login), as_current=program is None)
    context.say(f"logged in to {context.url} as {name} for {login.expires_in // 60} minutes (profile {saved.name})")
    current = context.credentials.current
    if current is None or current.name != saved.name:
        still = f"commands still use profile {current.name}" if current else "no profile is current"
        context.say(f"{still}; to use this one: --profile {saved.name}, or leadctl profiles use {saved.name}")


def _password(context: Context, program: str | None, from_stdin: bool) -> str:
    from leadctl.configuration.session import password_from  # noqa: PLC0415

    return password_from(program) if program else context.password(from_stdin=from_stdin)
