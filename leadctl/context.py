"""What every command is given: the streams, what is at their other end, and the server."""

import getpass
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import typer

from leadctl.credentials import Credentials
from leadctl.errors import NotAllowed, Usage
from leadctl.output import Face
from leadctl.settings import DEFAULT_URL, Settings

if TYPE_CHECKING:  # importing it costs 95 ms, which `--version` and `--help` need not pay
    from leadctl.api import Api

PROGRESS_FROM = 20

T = TypeVar("T")


class Context:
    """One run of the program."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.credentials = Credentials(Path(typer.get_app_dir("leadctl")))

    @property
    def out(self) -> TextIO:
        """Where data goes."""
        return sys.stdout

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the data."""
        return sys.stdout.isatty()

    @property
    def default_face(self) -> Face:
        """A table for a person, lines for a program."""
        return Face.TABLE if self.is_terminal else Face.PLAIN

    @cached_property
    def url(self) -> str:
        """The server's address."""
        return self.settings.url or self.credentials.last_url or DEFAULT_URL

    @cached_property
    def stranger(self) -> "Api":
        """The server, shown no token."""
        return self._api(None)

    @cached_property
    def api(self) -> "Api":
        """The server, shown the token that was given or is kept. Raises NotAllowed where there is none."""
        if self._token is None:
            raise NotAllowed(f"not logged in to {self.url}; run: leadctl login")
        return self._api(self._token)

    @cached_property
    def api_for_anyone(self) -> "Api":
        """The server, shown a token if there is one."""
        return self._api(self._token)

    def say(self, text: str) -> None:
        """Tell the user something that is no data."""
        typer.echo(text, err=True)

    def ask(self, what: str, flag: str) -> str:
        """Ask for a value at the terminal. Raises Usage where there is none."""
        if not sys.stdin.isatty():
            raise Usage(f"there is no terminal to ask at: give {flag}")
        return str(typer.prompt(what, err=True))

    def password(self, *, from_stdin: bool, twice: bool = False) -> str:
        """Read a password, unseen, or from standard input's first line. Raises Usage."""
        if from_stdin:
            return sys.stdin.readline().rstrip("\r\n")
        if not sys.stdin.isatty():
            raise Usage("there is no terminal to ask at: give --password-stdin")
        password = getpass.getpass("Password: ")
        if twice and getpass.getpass("Again: ") != password:
            raise Usage("the two passwords differ")
        return password

    def progress(self, items: Sequence[T], what: str) -> Iterator[T]:
        """Yield the items; a bar on a terminal tells how many are done."""
        if len(items) < PROGRESS_FROM or not sys.stderr.isatty():
            yield from items
            return
        from rich.console import Console  # noqa: PLC0415 - 50 ms, for a person who waits longer than that
        from rich.progress import track  # noqa: PLC0415

        yield from track(items, what, console=Console(stderr=True), transient=True)

    @property
    def _token(self) -> str | None:
        kept = self.credentials.get(self.url)
        return self.settings.token or (kept.token if kept else None)

    def _api(self, token: str | None) -> "Api":
        from leadctl.api import Api  # noqa: PLC0415

        return Api(self.url, token=token)
