"""The three streams: data, talk, questions and bars, as fits what is at their other end."""

import getpass
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, TypeVar

import typer

from leadctl.errors import LeadctlError, PartialFailure, PermissionDenied, TryAgain, UsageError
from leadctl.output.escapes import escape_control
from leadctl.output.formats import OutputFormat, OutputOptions, Record, chosen, lines, write_lines
from leadctl.settings import Flags

if TYPE_CHECKING:  # it takes 50 ms to import, which `--version` and `--help` need not pay
    from rich.console import Console

PROGRESS_FROM = 20
BATCH = 10_000  # the most that the server moves at once
BATCH_AT_A_TERMINAL = 1_000  # so that a bar moves
PROGRESS_FROM_BYTES = 4 * 2**20
BAR_FROM_COLUMNS = 80  # on a narrower terminal, what is done is told as a share alone

T = TypeVar("T")


def discard_output() -> None:
    """Send data that can't be written nowhere: at exit, Python would complain of it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class IOStreams:
    """The streams of one run of the program."""

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self._console: Console | None = None  # where a progress bar is

    @property
    def out(self) -> TextIO:
        """Where data goes."""
        return sys.stdout

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the data."""
        return sys.stdout.isatty()

    @property
    def default_face(self) -> OutputFormat:
        """A table for a person, lines for a program."""
        return OutputFormat.TABLE if self.is_terminal else OutputFormat.PLAIN

    def look(
        self,
        columns: Sequence[str],
        *,
        known: Sequence[str] = (),
        face: OutputFormat | None,
        only: str | None = None,
        header: bool = False,
        raw: bool = False,
    ) -> OutputOptions:
        """Return how a list is to be shown: with its usual columns, or `only` those that are named. Raises Usage."""
        shown = face or self.default_face
        if raw and (shown is not OutputFormat.CSV or self.is_terminal):
            raise UsageError("--raw is for -o csv into a file or a pipe")
        names = columns if only is None else chosen(only, known or columns)
        return OutputOptions(face=shown, columns=names, only=only is not None, header=header, raw=raw)

    def show(self, records: Iterable[Record], look: OutputOptions, *, paged: bool = False) -> None:
        """Write a list as it comes; `paged`: on a terminal through a pager, where it is longer than the screen."""
        if paged and self.is_terminal:
            from leadctl.output.pager import pager, write_paged  # noqa: PLC0415 - for a long list at a terminal alone

            if command := pager(os.environ):
                write_paged(lines(records, look), out=self.out, command=command)
                return
        write_lines(lines(records, look), out=self.out)

    def say(self, text: str) -> None:
        """Tell the user something that is no data; whether anyone hears it changes nothing."""
        if not self.flags.is_quiet:
            self.complain(text)

    def mention(self, text: str) -> bool:
        """Tell what only a person wants to know, or a script that asks for it. Return whether it was told."""
        is_wanted = not self.flags.is_quiet and (sys.stderr.isatty() or self.flags.is_verbose)
        if is_wanted:
            self.say(text)
        return is_wanted

    def warn(self, text: str) -> None:
        """Tell in colour what only a person wants to be warned of, or a script that asks for it."""
        if not self.flags.is_quiet and (sys.stderr.isatty() or self.flags.is_verbose):
            colour = None if os.environ.get("NO_COLOR") is None else False  # None: as standard error can
            with suppress(OSError):
                typer.secho(escape_control(text), err=True, fg="yellow", bold=True, color=colour)

    def complain(self, text: str) -> None:
        """Tell of something that was not done, quiet or not."""
        with suppress(OSError):
            if self._console is None:
                typer.echo(escape_control(text), err=True)
            else:
                self._print_past_the_bar(text)

    def confirm(self, question: str) -> None:
        """Ask, where there is a terminal to ask at, and go on only after a yes. Raises LeadctlError."""
        if not sys.stdin.isatty():
            return
        typer.echo(f"{escape_control(question)} [y/N] ", err=True, nl=False)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise LeadctlError("nothing was changed")

    def print(self, line: str) -> None:
        """Write a line of data about work that goes on, whether or not anyone still reads it."""
        try:
            if self._console is not None and self.is_terminal:
                self._print_past_the_bar(line)
                return
            self.out.write(f"{escape_control(line)}\n")
            self.out.flush()
        except BrokenPipeError:
            discard_output()

    def _print_past_the_bar(self, text: str) -> None:
        assert self._console is not None
        self._console.print(escape_control(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def ask(self, what: str, flag: str) -> str:
        """Ask for a value at the terminal. Raises Usage where there is none."""
        if not sys.stdin.isatty():
            raise UsageError(f"there is no terminal to ask at: give {flag}")
        typer.echo(f"{what}: ", err=True, nl=False)
        if not (line := sys.stdin.readline().strip()):
            raise UsageError(f"nothing was typed: give {flag}")
        return line

    def password(self, *, from_stdin: bool, twice: bool = False, what: str = "Password") -> str:
        """Read a password, unseen, or from standard input's next line. Raises Usage."""
        if from_stdin:
            return sys.stdin.readline().rstrip("\r\n")
        if not sys.stdin.isatty():
            raise UsageError("there is no terminal to ask at: give --password-stdin")
        try:
            password = getpass.getpass(f"{what}: ")
            again = getpass.getpass("Again: ") if twice else password
        except EOFError as error:
            raise UsageError("no password was typed") from error
        if again != password:
            raise UsageError("the two passwords differ")
        return password

    def each(self, ids: Sequence[int], what: str, work: Callable[[int], object]) -> int:
        """Do the work for each lead and return for how many it was done; each of the others gets a line.

        What would fail for every one of them, e.g. a lost login, is raised, with what was done before.
        """
        done = 0
        for lead_id in self.progress(ids, len(ids), what):
            try:
                work(lead_id)
                done += 1
            except (PermissionDenied, TryAgain, UsageError) as error:
                raise type(error)(f"{error} (done before: {done} of {len(ids)})") from error
            except LeadctlError as error:
                self.complain(f"{lead_id}: {error}")
        return done

    def conclude(self, summary: str, failures: Mapping[int, object]) -> None:
        """Tell of each that was not done, in a line, and sum up what was. Raises PartialFailure where some were not."""
        for number, failure in failures.items():
            self.complain(f"{number}: {failure}")
        if failures:
            raise PartialFailure(summary)
        self.say(summary)

    def in_batches(
        self, ids: Sequence[int], what: str, work: Callable[[Sequence[int]], list[T]], *, most: int = BATCH
    ) -> list[T]:
        """Do the work for thousands of ids at a time, and return what came of each.

        Where it breaks off, the user is told how far it came.
        """
        size = min(most, BATCH_AT_A_TERMINAL) if sys.stderr.isatty() else most
        batches = [ids[start : start + size] for start in range(0, len(ids), size)]
        results: list[T] = []
        try:
            with self._bar(what, len(ids), is_shown=len(batches) > 1, counts_bytes=False) as advance:
                for batch in batches:
                    results += work(batch)
                    advance(len(batch))
        except BaseException:
            if len(ids) > len(results) > 0:
                last = f"the first {len(results)} of {len(ids)} are done, up to id {ids[len(results) - 1]}"
                self.complain(f"{last}; the same command again does the rest, and leaves what is done as it is")
            raise
        return results

    def progress(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Yield the items; a bar on a terminal tells how many of many are done."""
        with self._bar(what, total, is_shown=total >= PROGRESS_FROM, counts_bytes=False) as advance:
            for item in items:
                yield item
                advance(1)

    def transfer(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Give a function that is told of each number of bytes that came through; a bar on a terminal tells of many.

        A negative number takes back what must come through again.
        """
        return self._bar(what, total, is_shown=total >= PROGRESS_FROM_BYTES, counts_bytes=True)

    @contextmanager
    def _bar(self, what: str, total: int, *, is_shown: bool, counts_bytes: bool) -> Iterator[Callable[[int], None]]:
        if (
            not is_shown or self.flags.is_quiet or self._console is not None or not sys.stderr.isatty()
        ):  # one bar at a time
            yield lambda _amount: None
            return
        from rich.console import Console  # noqa: PLC0415 - 50 ms, for a person who waits longer than that
        from rich.progress import DownloadColumn, MofNCompleteColumn, Progress, TaskProgressColumn  # noqa: PLC0415

        console = Console(stderr=True)
        count = DownloadColumn() if counts_bytes else MofNCompleteColumn()
        told = (
            (*Progress.get_default_columns(), count)
            if console.width >= BAR_FROM_COLUMNS
            else ("{task.description}", TaskProgressColumn())
        )
        # what is printed meanwhile goes through print() and say(): rich would send data to standard error
        bar = Progress(
            *told,
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with bar:
            task, self._console = bar.add_task(what, total=total), console
            try:
                yield lambda amount: bar.advance(task, amount)
            finally:
                self._console = None
