"""Standard streams: data, messages, prompts and progress bars."""

import getpass
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, TypeVar

import typer

from leadctl.errors import LeadctlError, PartialFailure, PermissionDenied, TryAgain, UsageError
from leadctl.output.escapes import escape_control
from leadctl.output.formats import OutputFormat, OutputOptions, Record, lines, member_lines, parse_columns, write_lines
from leadctl.output.prompts import discard_typed, open_terminal
from leadctl.settings import Flags

if TYPE_CHECKING:  # importing it takes 50 ms, which `--version` and `--help` need not pay
    from rich.console import Console

PROGRESS_FROM = 20
CONFIRM_FROM = 10  # leads of one change
BATCH = 10_000  # the server's maximum for one request
TERMINAL_BATCH = 1_000  # smaller, so that the progress bar moves
PROGRESS_FROM_BYTES = 4 * 2**20
FULL_BAR_COLUMNS = 80  # a narrower terminal gets only the percentage

T = TypeVar("T")


def discard_output() -> None:
    """Redirect unwritable streams to the null device, or Python would exit with 120 instead of the program's code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class IOStreams:
    """The standard streams of one run of the program."""

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self.receive_messages: Callable[[str], None] | None = None  # instead of standard error, which has a full screen
        self._console: Console | None = None  # of the progress bar that is shown

    @property
    def out(self) -> TextIO:
        """The stream for data."""
        return sys.stdout

    @property
    def is_terminal(self) -> bool:
        """Whether data is written to a terminal."""
        return sys.stdout.isatty()

    @property
    def default_format(self) -> OutputFormat:
        """TABLE on a terminal, else PLAIN."""
        return OutputFormat.TABLE if self.is_terminal else OutputFormat.PLAIN

    def output_options(
        self,
        columns: Sequence[str],
        *,
        known: Sequence[str] = (),
        output: OutputFormat | None,
        selected: str | None = None,
        header: bool = False,
        raw: bool = False,
        headings: Mapping[str, str] | None = None,
    ) -> OutputOptions:
        """Return the options for a list: its default columns, or those `selected` by name. Raises UsageError."""
        chosen_format = output or self.default_format
        if raw and (chosen_format is not OutputFormat.CSV or self.is_terminal):
            raise UsageError("--raw requires -o csv, written to a file or a pipe")
        names = columns if selected is None else parse_columns(selected, known or columns)
        return OutputOptions(
            output_format=chosen_format,
            columns=names,
            is_selection=selected is not None,
            header=header,
            raw=raw,
            headings=(headings or {}) if self.is_terminal else None,
        )

    def show(self, records: Iterable[Record], options: OutputOptions, *, paged: bool = False) -> None:
        """Write a list as it arrives; `paged`: through a pager if it is longer than the terminal."""
        if paged and self.is_terminal:
            from leadctl.output.pager import find_pager, write_paged  # noqa: PLC0415 - only for long lists on terminals

            if command := find_pager(os.environ):
                write_paged(lines(records, options), out=self.out, command=command)
                return
        write_lines(lines(records, options), out=self.out)

    def show_results(self, results: Iterable[Record], options: OutputOptions, *, paged: bool = False) -> None:
        """Write the results of changes. If the output closes, still take all results: each may be another change."""
        remaining, failure = iter(results), None
        try:
            self.show(remaining, options, paged=paged)
            self.out.flush()
        except OSError as error:
            failure = error
            discard_output()
        for _ in remaining:
            pass
        if failure is not None and not isinstance(failure, BrokenPipeError):
            raise failure

    def show_record(
        self, record: Record, output: OutputFormat | None, headings: Mapping[str, str] | None = None
    ) -> None:
        """Write one record; in a table on a terminal only what people read, unless --verbose is given."""
        is_brief = self.is_terminal and not self.flags.verbose
        headings = (headings or {}) if is_brief else None
        self.out.writelines(member_lines(record, output or self.default_format, headings))

    def info(self, text: str) -> None:
        """Print a message to standard error, unless --quiet is given."""
        if not self.flags.quiet:
            self.error(text)

    @property
    def shows_warnings(self) -> bool:
        """Whether warnings are printed: on a terminal or with --verbose."""
        return not self.flags.quiet and (sys.stderr.isatty() or self.flags.verbose)

    def verbose(self, text: str) -> bool:
        """Print a message on a terminal or with --verbose. Return whether it was printed."""
        if self.shows_warnings:
            self.info(text)
        return self.shows_warnings

    def warn(self, text: str) -> None:
        """Print a coloured warning on a terminal or with --verbose."""
        if self._console is not None:
            self.info(text)
        elif self.shows_warnings:
            colour = None if os.environ.get("NO_COLOR") is None else False  # None: if standard error supports it
            with suppress(OSError):
                typer.secho(escape_control(text), err=True, fg="yellow", bold=True, color=colour)

    def error(self, text: str) -> None:
        """Print a message to standard error, even with --quiet."""
        if self.receive_messages:
            self.receive_messages(text)
            return
        with suppress(OSError):
            if self._console is None:
                typer.echo(escape_control(text), err=True)
            else:
                self._print_above_bar(text)

    @property
    def can_ask(self) -> bool:
        """Whether there is a terminal to ask a question at."""
        with open_terminal() as terminal:
            return terminal is not None

    def confirm(self, question: str, *, refusal: LeadctlError | None = None) -> None:
        """Ask for confirmation on a terminal; without one, raise the `refusal`, or continue if there is none.

        Raises LeadctlError unless confirmed.
        """
        with open_terminal() as terminal:
            if terminal is None:
                if refusal:
                    raise refusal
                return
            source, target = terminal
            discard_typed(source)
            target.write(f"{escape_control(question)} [y/N] ")
            target.flush()
            if source.readline().strip().lower() not in ("y", "yes"):
                raise LeadctlError("nothing was changed")

    def write_line(self, line: str) -> None:
        """Write a line of data at once; a closed pipe does not stop the work."""
        try:
            if self._console is not None and self.is_terminal:
                self._print_above_bar(line)
                return
            self.out.write(f"{escape_control(line)}\n")
            self.out.flush()
        except BrokenPipeError:
            discard_output()

    def _print_above_bar(self, text: str) -> None:
        assert self._console is not None
        self._console.print(escape_control(text), markup=False, emoji=False, highlight=False, soft_wrap=True)

    def ask(self, what: str, flag: str, *, default: str = "") -> str:
        """Prompt for a value on the terminal. Raises UsageError without a terminal."""
        if not sys.stdin.isatty():
            raise UsageError(f"can't prompt without a terminal; use {flag}")
        typer.echo(escape_control(f"{what}{f' [{default}]' if default else ''}: "), err=True, nl=False)
        if not (line := sys.stdin.readline().strip() or default):
            raise UsageError(f"nothing was entered; use {flag}")
        return line

    def password(self, *, from_stdin: bool, twice: bool = False, what: str = "Password") -> str:
        """Prompt for a password without echo, or read the next line of standard input. Raises UsageError."""
        if from_stdin:
            return sys.stdin.readline().rstrip("\r\n")
        if not sys.stdin.isatty():
            raise UsageError("can't prompt without a terminal; use --password-stdin")
        try:
            password = getpass.getpass(f"{escape_control(what)}: ")
            again = getpass.getpass("Again: ") if twice else password
        except EOFError as error:
            raise UsageError("no password was entered") from error
        if again != password:
            raise UsageError("the two passwords differ")
        return password

    def for_each(self, ids: Sequence[int], what: str, work: Callable[[int], object]) -> int:
        """Call `work` with each id, print a line for each failure, and return the number of successes.

        An error that would repeat for every id, such as an expired login, is raised with the number of successes.
        """
        done = 0
        for lead_id in self.progress(ids, len(ids), what):
            try:
                work(lead_id)
                done += 1
            except (PermissionDenied, TryAgain, UsageError) as error:
                raise type(error)(f"{error} (completed before: {done} of {len(ids)})") from error
            except LeadctlError as error:
                self.error(f"{lead_id}: {error}")
        return done

    def summarize(self, summary: str, failures: Mapping[int, object]) -> None:
        """Print a line for each failure, and the summary. Raises PartialFailure if there is a failure."""
        for number, failure in failures.items():
            self.error(f"{number}: {failure}")
        if failures:
            raise PartialFailure(summary)
        self.info(summary)

    def run_in_batches(
        self, ids: Sequence[int], what: str, work: Callable[[Sequence[int]], list[T]], *, max_batch: int = BATCH
    ) -> list[T]:
        """Call `work` with up to `max_batch` ids at a time, and return all results; report progress on an error."""
        size = min(max_batch, TERMINAL_BATCH) if sys.stderr.isatty() else max_batch
        batches = [ids[start : start + size] for start in range(0, len(ids), size)]
        results: list[T] = []
        try:
            with self._bar(what, len(ids), is_shown=len(batches) > 1, counts_bytes=False) as advance:
                for batch in batches:
                    results += work(batch)
                    advance(len(batch))
        except BaseException:
            if len(ids) > len(results) > 0:
                last = f"completed {len(results)} of {len(ids)}, up to id {ids[len(results) - 1]}"
                self.error(f"{last}; run the same command again for the rest")
            raise
        return results

    def progress(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Yield the items, with a progress bar on a terminal if there are many."""
        with self._bar(what, total, is_shown=total >= PROGRESS_FROM, counts_bytes=False) as advance:
            for item in items:
                yield item
                advance(1)

    def transfer(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Return a progress bar for a transfer; call its function with each number of bytes, negative on a rewind."""
        return self._bar(what, total, is_shown=total >= PROGRESS_FROM_BYTES, counts_bytes=True)

    @contextmanager
    def _bar(self, what: str, total: int, *, is_shown: bool, counts_bytes: bool) -> Iterator[Callable[[int], None]]:
        has_bar = self._console is not None  # only one at a time
        if not is_shown or self.flags.quiet or has_bar or not sys.stderr.isatty():
            yield lambda _amount: None
            return
        from rich.console import Console  # noqa: PLC0415 - 50 ms, less than the wait that needs a bar
        from rich.progress import DownloadColumn, MofNCompleteColumn, Progress, TaskProgressColumn  # noqa: PLC0415

        console = Console(stderr=True)
        count = DownloadColumn() if counts_bytes else MofNCompleteColumn()
        columns = (
            (*Progress.get_default_columns(), count)
            if console.width >= FULL_BAR_COLUMNS
            else ("{task.description}", TaskProgressColumn())
        )
        # rich's redirection would send data to standard error; write_line() and error() print above the bar instead
        bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
        with bar:
            task, self._console = bar.add_task(what, total=total), console
            try:
                yield lambda amount: bar.advance(task, amount)
            finally:
                self._console = None
