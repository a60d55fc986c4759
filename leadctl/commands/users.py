"""`leadctl users list | disable | enable | set-role | reset-password`."""

from typing import Annotated, Literal

import typer

from leadctl.context import Context
from leadctl.list_command import Listing, list_command
from leadctl.options import PasswordStdinOption

COLUMNS = ("id", "username", "role", "disabled", "created_at")

Username = Annotated[str, typer.Argument(metavar="USERNAME", help="User name.")]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List and change users. For administrators. Create users with leadctl register-user.\n\n"
    "Examples:\n  leadctl users list\n  leadctl users disable bunter",
)


@app.command(name="list")
@list_command("users", COLUMNS, has_limit=False)
def list_users(listing: Listing) -> None:
    """List all users, oldest first.

    Examples:
      leadctl users list
      leadctl users list -o json | jq -r '.[] | select(.disabled) | .username'
    """
    users = listing.context.api.users()
    if not listing.options.is_json:
        users = ({**user, "disabled": "yes" if user["disabled"] else "no"} for user in users)
    listing.show(users)


@app.command()
def disable(ctx: typer.Context, username: Username) -> None:
    """Disable a user and end all logins of this user.

    Examples:
      leadctl users disable bunter
      leadctl --profile prod users disable bunter
    """
    context: Context = ctx.obj
    context.api.update_user(username, disabled=True)
    context.info(f"{username} is disabled; all logins have ended")


@app.command()
def enable(ctx: typer.Context, username: Username) -> None:
    """Enable a disabled user.

    Examples:
      leadctl users enable bunter
      leadctl --profile prod users enable bunter
    """
    context: Context = ctx.obj
    context.api.update_user(username, disabled=False)
    context.info(f"{username} is enabled")


@app.command()
def set_role(
    ctx: typer.Context,
    username: Username,
    role: Annotated[Literal["admin", "attorney"], typer.Argument(metavar="<admin|attorney>", help="New role.")],
) -> None:
    """Change a user's role, with immediate effect.

    Examples:
      leadctl users set-role bunter admin
      leadctl users set-role bunter attorney
    """
    context: Context = ctx.obj
    context.api.update_user(username, role=role)
    context.info(f"{username} is {role}")


@app.command()
def reset_password(ctx: typer.Context, username: Username, password_stdin: PasswordStdinOption = False) -> None:
    """Set a user's password and end all logins of this user.

    Examples:
      leadctl users reset-password bunter
      leadctl users reset-password bunter --password-stdin < password-file
    """
    context: Context = ctx.obj
    api = context.api  # fails before the prompt if not logged in
    password = context.password(from_stdin=password_stdin, what=f"New password of {username}", twice=True)
    api.update_user(username, password=password)
    context.info(f"password of {username} changed; all logins have ended")
