"""The `leadctl` command line: its commands, global options and exit codes."""

import io
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer._click.core import augment_usage_errors
from typer._click.exceptions import ClickException, NoArgsIsHelpError
from typer._click.utils import make_default_short_help
from typer.core import TyperGroup

from leadctl import __version__
from leadctl.errors import ExitCode, LeadctlError

# a module is imported only when its command is called, or for the help of all commands
COMMANDS: Mapping[str, str] = {
    "login": "leadctl.commands.login",
    "logout": "leadctl.commands.logout",
    "whoami": "leadctl.commands.whoami",
    "passwd": "leadctl.commands.passwd",
    "profiles": "leadctl.commands.profiles",
    "list": "leadctl.commands.list_leads",
    "search": "leadctl.commands.search",
    "show": "leadctl.commands.show",
    "stats": "leadctl.commands.stats",
    "watch": "leadctl.commands.watch",
    "triage": "leadctl.commands.triage",
    "set-state": "leadctl.commands.set_state",
    "clear-suspect": "leadctl.commands.clear_suspect",
    "undo": "leadctl.commands.undo",
    "changes": "leadctl.commands.changes",
    "history": "leadctl.commands.history",
    "cv-text": "leadctl.commands.cv_text",
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


MIN_LIKENESS = 0.7  # of a misspelt option to one that is suggested


class Commands(TyperGroup):
    """The commands, imported on demand. A closed output pipe ends the program silently."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = dict.fromkeys(COMMANDS, self)  # the names that typer suggests for a misspelt one

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = import_module(COMMANDS[cmd_name])
        if hasattr(module, "app"):  # a command with subcommands
            return _prepare_command(typer.main.get_command(module.app), self.params)
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(module.command)
        return _prepare_command(typer.main.get_command(single), self.params)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _exit_on_broken_pipe():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _exit_on_broken_pipe():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _prepare_command(command: Any, root_options: Sequence[Any]) -> Any:
    """Accept the global options after the command too, and keep its summary whole and its examples unwrapped."""
    text = command.help or ""
    command.short_help = make_default_short_help(text, len(text))
    command.help = text.replace("\nExample", "\n\b\nExample")  # a backspace exempts a paragraph from wrapping
    command.epilog = "Global options, such as --url and --quiet: leadctl --help"
    own = {name for option in command.params for name in option.opts}
    parse = command.parse_args

    def parse_args(ctx: Any, arguments: list[str]) -> Any:
        with augment_usage_errors(ctx):  # typer omits the command where an option lacks its value
            if not ctx.resilient_parsing:  # completion
                _refuse_repeated(ctx, command.make_parser(ctx).parse_args([*arguments])[2])
            return parse(ctx, arguments)

    command.parse_args = parse_args
    command.params += [
        _as_global(option) for option in root_options if option.name != "show_version" and not own & set(option.opts)
    ]
    for subcommand in getattr(command, "commands", {}).values():
        _prepare_command(subcommand, root_options)
    return command


def _refuse_repeated(ctx: Any, given: Sequence[Any]) -> None:
    """Fail if an option of the command was given twice, and only its last value would count."""
    for option in given:
        is_single = option.expose_value and not (getattr(option, "is_flag", True) or option.multiple)
        if is_single and given.count(option) > 1:
            ctx.fail(f"Option '{option.opts[0]}' takes one value, and was given twice")


def _as_global(option: Any) -> Any:
    """Return a hidden copy of a global option for a command; it sets the option of the program."""
    copied = copy(option)
    copied.hidden, copied.expose_value, copied.default, copied.callback = True, False, None, _set_global
    return copied


def _set_global(ctx: typer.Context, option: Any, value: Any) -> None:
    if value is not None:
        root = ctx.find_root()
        root.params[option.name] = value
        if root.obj is not None:  # none during completion
            from dataclasses import replace  # noqa: PLC0415 - as in root()

            root.obj.flags = replace(root.obj.flags, **{option.name: value})


def _profiles(incomplete: str) -> list[str]:
    from leadctl.completion import profiles  # noqa: PLC0415 - only for shell completion

    return profiles(incomplete)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Server. Default: LEADCTL_URL, else the current profile's.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Profile. Default: LEADCTL_PROFILE, else the current one.", autocompletion=_profiles
        ),
    ] = None,
    cacert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trust only the certificates in this file.")
    ] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Allow unencrypted HTTP to other machines.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print no messages except errors.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", help="On a terminal, print all fields. In scripts, also print warnings and the ids of changes."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print requests, and tracebacks of errors.")] = False,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Triage a law firm's leads from a terminal or a shell script."""
    if show_version:
        typer.echo(f"leadctl {__version__}")
        raise typer.Exit
    from leadctl.context import Context  # noqa: PLC0415 - these take 20 ms, which `--version` need not pay
    from leadctl.settings import Flags  # noqa: PLC0415

    ctx.obj = Context(Flags(url, profile, cacert, insecure_http, quiet, verbose, debug))


def main() -> NoReturn:
    """Run the command line; print any error on one line, and exit with its code."""
    _prepare_streams()
    _handle_signals()
    if "_LEADCTL_COMPLETE" in os.environ:
        from leadctl.completion_shells import prepare  # noqa: PLC0415 - only for shell completion

        prepare()
    try:
        sys.exit(app(prog_name="leadctl", standalone_mode=False) or ExitCode.DONE)
    except LeadctlError as error:
        _fail(str(error), error.exit_code)
    except ClickException as error:
        _fail_usage(error)
    except UnicodeError:
        _fail("an argument or environment variable is not valid UTF-8", ExitCode.USAGE)
    except OSError as error:
        what = f"can't use {error.filename}" if error.filename else "can't write the output"
        _fail(f"{what}: {error.strerror or error}", ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - a defect, reported like any other error
        _fail(f"internal error ({type(error).__name__}: {error}); --debug prints the traceback", ExitCode.FAILED)


def _fail_usage(error: ClickException) -> NoReturn:
    """Report an error of the command line, found by typer, in the style of all others."""
    ctx = getattr(error, "ctx", None)
    message = error.format_message()
    if isinstance(error, NoArgsIsHelpError):
        typer.echo(message, err=True)
        sys.exit(ExitCode.USAGE)
    if possible := _closest_options(error):  # worded as typer does for commands
        message = f"{error.message}. Did you mean {', '.join(map(repr, possible))}?"
    elif meant := _closest_choice(error):
        message = f"{message.removesuffix('.')}. Did you mean {meant!r}?"
    text = " ".join(f"{message[:1].lower()}{message[1:]}".removesuffix(".").split())
    _fail(f"{text} (see {ctx.command_path if ctx else 'leadctl'} --help)", ExitCode.USAGE)


def _closest_options(error: ClickException) -> Sequence[str]:
    """Return the options that a misspelt one can stand for; typer's own list has others, such as --yes for --reason."""
    from difflib import SequenceMatcher  # noqa: PLC0415 - only after an error

    def likeness(option: str) -> float:
        return SequenceMatcher(None, error.option_name.strip("-"), option.strip("-")).ratio()  # type: ignore[attr-defined]

    return [option for option in getattr(error, "possibilities", None) or [] if likeness(option) >= MIN_LIKENESS]


def _closest_choice(error: ClickException) -> str | None:
    """Return the choice that is most like an invalid one, if any is."""
    choices = getattr(getattr(getattr(error, "param", None), "type", None), "choices", ())
    if not (given := re.match("'(.*)' is not one of ", error.message)):
        return None
    from difflib import get_close_matches  # noqa: PLC0415 - only after an error

    return next(iter(get_close_matches(given[1], [getattr(choice, "value", choice) for choice in choices], 1)), None)


def _fail(text: str, code: ExitCode) -> NoReturn:
    import traceback  # noqa: PLC0415 - these take 15 ms, needed only after an error

    from leadctl.output.console import discard_output  # noqa: PLC0415
    from leadctl.output.escapes import escape_control  # noqa: PLC0415

    with suppress(OSError):
        if "--debug" in sys.argv:
            for line in traceback.format_exc().splitlines():
                typer.echo(escape_control(line), err=True)
        typer.echo(f"leadctl: {escape_control(text)}", err=True)
    discard_output()
    sys.exit(code)


def _handle_signals() -> None:
    """Remove temporary files when a terminal closes or the system shuts down, as after an error.

    A signal that is ignored from the start, as under nohup, stays ignored.
    """
    for name in ("SIGTERM", "SIGHUP"):  # Windows has only the first
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _frame: sys.exit(128 + received))


def _prepare_streams() -> None:
    """Replace closed streams with the null device, and write UTF-8 to pipes whatever the locale."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open until exit
        elif isinstance(stream, io.TextIOWrapper) and mode == "w":
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")


@contextmanager
def _exit_on_broken_pipe() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        from leadctl.output.console import discard_output  # noqa: PLC0415 - seldom needed

        discard_output()
        raise typer.Exit(ExitCode.DONE) from error
