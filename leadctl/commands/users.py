"""`leadctl users list | disable | enable | set-role | reset-password`."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from leadctl.context import Context
from leadctl.options import ColumnsOption, FormatOption, HeaderOption, RawOption
from leadctl.output.formats import OutputFormat

COLUMNS = ("id", "username", "role", "disabled", "created_at")

Username = Annotated[str, typer.Argument(metavar="USERNAME")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="See and change users; for administrators. `leadctl register-user` makes them.\n\n"
    "Examples: leadctl users list\n\n"
    "leadctl users disable bunter",
)


class Role(StrEnum):
    """What a user may do."""

    ADMIN = "admin"
    ATTORNEY = "attorney"


@app.command(name="list")
def list_users(
    ctx: typer.Context,
    face: FormatOption = None,
    columns: ColumnsOption = None,
    header: HeaderOption = False,
    raw: RawOption = False,
) -> None:
    """List all users, oldest first.

    Examples: leadctl users list

    leadctl users list -o json | jq -r '.[] | select(.disabled) | .username'
    """
    context: Context = ctx.obj
    look = context.look(COLUMNS, face=face, only=columns, header=header, raw=raw)
    users = context.api.users()
    context.show(users if look.face in (OutputFormat.JSON, OutputFormat.NDJSON) else _in_words(users), look)


@app.command()
def disable(ctx: typer.Context, username: Username) -> None:
    """Refuse a user's logins, and end those that there are.

    Examples: leadctl users disable bunter

    leadctl --profile prod users disable bunter
    """
    context: Context = ctx.obj
    context.api.change_user(username, disabled=True)
    context.say(f"{username} is disabled, and every login has ended")


@app.command()
def enable(ctx: typer.Context, username: Username) -> None:
    """Let a user log in again.

    Examples: leadctl users enable bunter

    leadctl --profile prod users enable bunter
    """
    context: Context = ctx.obj
    context.api.change_user(username, disabled=False)
    context.say(f"{username} may log in")


@app.command()
def set_role(ctx: typer.Context, username: Username, role: Annotated[Role, typer.Argument()]) -> None:
    """Make a user an administrator or an attorney; it counts at once.

    Examples: leadctl users set-role bunter admin

    leadctl users set-role bunter attorney
    """
    context: Context = ctx.obj
    context.api.change_user(username, role=role.value)
    context.say(f"{username} is {role.value}")


@app.command()
def reset_password(
    ctx: typer.Context,
    username: Username,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Give a user a new password, and end every login of the old one.

    Examples: leadctl users reset-password bunter

    openssl rand -base64 12 | tee new-password | leadctl users reset-password bunter --password-stdin
    """
    context: Context = ctx.obj
    api = context.api  # who is not logged in need not type anything
    password = context.password(from_stdin=password_stdin, what=f"New password of {username}", twice=True)
    api.change_user(username, password=password)
    context.say(f"{username} has a new password, and every login has ended")


def _in_words(users: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    return ({**user, "disabled": "yes" if user["disabled"] else "no"} for user in users)
