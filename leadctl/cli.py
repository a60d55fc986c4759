"""The `leadctl` command: its table of commands, and the one place where an error becomes an exit code."""

import io
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from leadctl import __version__
from leadctl.errors import ExitCode, LeadctlError

# each is loaded only when it is called, or when help for all of them is asked for
COMMANDS: Mapping[str, str] = {
    "login": "leadctl.commands.login",
    "logout": "leadctl.commands.logout",
    "whoami": "leadctl.commands.whoami",
    "passwd": "leadctl.commands.passwd",
    "profiles": "leadctl.commands.profiles",
    "list": "leadctl.commands.list_leads",
    "show": "leadctl.commands.show",
    "stats": "leadctl.commands.stats",
    "watch": "leadctl.commands.watch",
    "set-state": "leadctl.commands.set_state",
    "undo": "leadctl.commands.undo",
    "changes": "leadctl.commands.changes",
    "history": "leadctl.commands.history",
    "download-cv": "leadctl.commands.download_cv",
    "submit": "leadctl.commands.submit",
    "import": "leadctl.commands.import_leads",
    "erase": "leadctl.commands.erase",
    "export-person": "leadctl.commands.export_person",
    "register-user": "leadctl.commands.register_user",
    "users": "leadctl.commands.users",
    "mail": "leadctl.commands.mail",
    "audit": "leadctl.commands.audit",
    "completion": "leadctl.commands.completion",
    "help": "leadctl.commands.help",
}


class Commands(TyperGroup):
    """The table, as a group. A reader that has what it wanted and goes away ends the program in silence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = dict.fromkeys(COMMANDS, self)  # among these names it looks for what was meant

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = import_module(COMMANDS[cmd_name])
        if hasattr(module, "app"):  # a family, with a table of its own
            return typer.main.get_command(module.app)
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(module.command)
        return typer.main.get_command(single)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _readers_may_leave():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _readers_may_leave():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _profiles(incomplete: str) -> list[str]:
    from leadctl.completion import profiles  # noqa: PLC0415 - for a shell that asks

    return profiles(incomplete)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    url: Annotated[str | None, typer.Option(help="The server; else LEADCTL_URL, else the current profile's.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="The login to use; else LEADCTL_PROFILE, else the current one.", autocompletion=_profiles),
    ] = None,
    cacert: Annotated[Path | None, typer.Option(help="A file of the certificates to trust, and no others.")] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Send passwords and tokens over plain http, too.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but what was not done.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say what is done, in scripts, too.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show requests, and where an error came from.")] = False,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Triage leads from a terminal or a shell script."""
    if show_version:
        typer.echo(f"leadctl {__version__}")
        raise typer.Exit
    from leadctl.context import Context  # noqa: PLC0415 - these take 20 ms, which `--version` need not pay
    from leadctl.settings import Flags  # noqa: PLC0415

    ctx.obj = Context(
        Flags(
            url=url,
            profile=profile,
            cacert=cacert,
            insecure_http=insecure_http,
            is_quiet=quiet,
            is_verbose=verbose,
            is_debug=debug,
        )
    )


def main() -> NoReturn:
    """Run the command line; whatever goes wrong is told in one line."""
    _prepare_streams()
    _heed_signals()
    if "_LEADCTL_COMPLETE" in os.environ:
        from leadctl.completion_shells import prepare  # noqa: PLC0415 - for a shell that asks

        prepare()
    try:
        app()
    except LeadctlError as error:
        _fail(str(error), error.exit_code)
    except UnicodeError:
        _fail("what was typed, or a value in the environment, is not UTF-8", ExitCode.USAGE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except OSError as error:
        what = f"can't use {error.filename}" if error.filename else "can't write the output"
        _fail(f"{what}: {error.strerror or error}", ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - a defect, told like anything else
        _fail(f"something went wrong ({type(error).__name__}: {error}); --debug shows where", ExitCode.FAILED)
    sys.exit(ExitCode.DONE)


def _fail(text: str, code: ExitCode) -> NoReturn:
    import traceback  # noqa: PLC0415 - these take 15 ms, where something went wrong

    from leadctl.output.console import discard_output  # noqa: PLC0415
    from leadctl.output.escapes import escape_control  # noqa: PLC0415

    with suppress(OSError):
        if "--debug" in sys.argv:
            for line in traceback.format_exc().splitlines():
                typer.echo(escape_control(line), err=True)
        typer.echo(f"leadctl: {escape_control(text)}", err=True)
    discard_output()
    sys.exit(code)


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def _heed_signals() -> None:
    """End as after an error, drafts removed, when a terminal closes or a system shuts down."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has the first alone
        if (number := getattr(signal, name, None)) is not None:
            signal.signal(number, _end)


def _prepare_streams() -> None:
    """Give each stream that is closed a place to go, and each pipe UTF-8, whatever the locale."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open to the end
        elif isinstance(stream, io.TextIOWrapper) and mode == "w":
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


@contextmanager
def _readers_may_leave() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        from leadctl.output.console import discard_output  # noqa: PLC0415 - at the end, and seldom

        discard_output()
        raise typer.Exit(ExitCode.DONE) from error
