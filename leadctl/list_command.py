"""Options and behavior of all commands that print a list."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from itertools import count, islice
from types import MappingProxyType
from typing import Annotated, Any, Literal

import typer

from leadctl.completion import STATE, complete_columns, listed_states
from leadctl.context import Context
from leadctl.errors import UsageError
from leadctl.options import FormatOption, HeaderOption, RawOption
from leadctl.output.columns import FIELD
from leadctl.output.formats import OutputFormat, OutputOptions, Record

TERMINAL_LIMIT = 50
MAX_READ = 100_000  # records that are read before the first is printed

Command = Callable[..., None]


def split_commas(texts: list[str] | None) -> list[str] | None:
    """Return the values of a repeatable option, each of which may be several with commas between them."""
    return texts and [part.strip() for text in texts for part in text.split(",")]


StateFilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        **{**STATE, "autocompletion": listed_states},
        callback=split_commas,
        help="Only leads in this state, or these: PENDING,ENGAGED; upper or lower case; repeatable.",
    ),
]

SortOption = Annotated[Literal["id", "-id"], typer.Option("--sort", help="Sort by id; -id is newest first.")]


def columns_option(known: Sequence[str]) -> Any:
    """Return the option --columns, with completion."""
    help_text = f"Only these columns, in this order, such as {','.join(known[:2])}."
    return typer.Option("--columns", metavar="NAMES", autocompletion=complete_columns(known), help=help_text)


@dataclass(frozen=True)
class Listing:
    """The list that a command prints; `nouns` names its records."""

    context: Context
    has_subcommand: bool
    nouns: str
    options: OutputOptions
    limit: int | None
    is_paged: bool

    def show(
        self,
        records: Iterable[Record] | Callable[..., Iterable[Record]],
        filters: Mapping[str, object] = MappingProxyType({}),
        *,
        order: str = "newest",
        total: Callable[[Mapping[str, Any]], int | None] = lambda _filters: None,
        more_columns: Callable[[Sequence[Record]], Sequence[str]] | None = None,
        if_none: str = "",
    ) -> None:
        """Write the records, or those that `records` returns for the filters that are not None, and a limit.

        On a terminal, use a pager, and print a message if there are more than the limit, or none, which ends with
        `if_none`. With `more_columns`, read all records first, and add the columns that it returns for them.
        """
        context, given = self.context, {name: value for name, value in filters.items() if value is not None}
        limit = self.limit and self.limit + context.is_terminal  # one more, to know whether there are more
        found, options = iter(records(given, limit=limit) if callable(records) else records), self.options
        if more_columns:
            read = list(islice(found, MAX_READ + 1))
            if len(read) > MAX_READ:
                raise UsageError(f"more than {MAX_READ} {self.nouns}; select columns with --columns, or use filters")
            found, options = iter(read), replace(options, columns=[*options.columns, *more_columns(read)])
        if not context.is_terminal:
            context.show(found, options)
            return
        numbers = count()
        written = (record for record, _ in zip(islice(found, self.limit), numbers, strict=False))
        context.show(written, options, paged=self.is_paged)
        if not (number := next(numbers)):
            context.info(f"No {self.nouns}{' match' if given else ''}{if_none}")
        elif number == self.limit and next(found, None) is not None:
            of = "" if (known := total(given)) is None else f" of {known}"
            context.info(f"{order} {number}{of}; use -n for more")


def list_command(
    nouns: str,
    columns: Sequence[str],
    *,
    known: Sequence[str] = (),
    on_terminal: Sequence[str] = (),
    headings: Mapping[str, str] | None = None,
    has_limit: bool = True,
    default_limit: int | None = None,
    terminal_limit: int = TERMINAL_LIMIT,
) -> Callable[[Command], Command]:
    """Add the options of lists to a command, which receives a Listing instead of the typer.Context.

    `columns` are shown by default, in tables those `on_terminal`; `known` ones can be selected.
    """
    known = known or columns
    limit_help = "Maximum number of results." + (
        f" Default: {terminal_limit} on a terminal, otherwise all." if not default_limit else ""
    )

    def listing(
        ctx: typer.Context,
        *,
        limit: Annotated[
            int | None, typer.Option("--limit", "-n", metavar="N", min=1, help=limit_help)
        ] = default_limit,
        output: FormatOption = None,
        selected: Annotated[str | None, columns_option([name for name in known if name != FIELD])] = None,
        header: HeaderOption = False,
        raw: RawOption = False,
        no_pager: Annotated[bool, typer.Option("--no-pager", help="Do not use a pager.")] = False,
    ) -> Listing:
        context: Context = ctx.obj
        is_table = context.is_terminal and output in (None, OutputFormat.TABLE)
        usual = (is_table and on_terminal) or columns
        options = context.output_options(
            usual, known=known, output=output, selected=selected, header=header, raw=raw, headings=headings
        )
        default = terminal_limit if has_limit and context.is_terminal else None
        return Listing(context, ctx.invoked_subcommand is not None, nouns, options, limit or default, not no_pager)

    context_parameter, *shared = inspect.signature(listing).parameters.values()
    shared = shared if has_limit else shared[1:]

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(ctx: typer.Context, **given: Any) -> None:
            function(listing(ctx, **{one.name: given.pop(one.name) for one in shared}), **given)

        _, *own = inspect.signature(function).parameters.values()
        parameters = [context_parameter, *own, *shared]
        vars(command)["__signature__"] = inspect.Signature(parameters)  # typer reads both
        command.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return decorate
