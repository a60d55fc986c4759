"""Options shared by commands, and what they omit."""

from collections.abc import Callable
from typing import Annotated

import typer

from leadctl.output.formats import OutputFormat
from leadctl.times import complete_day

FormatOption = Annotated[OutputFormat | None, typer.Option("--output", "-o", help="Output format.")]
HeaderOption = Annotated[bool, typer.Option("--header", help="Print column names above plain output.")]
RawOption = Annotated[bool, typer.Option("--raw", help="Do not escape formulas and control characters in csv output.")]
SinceOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        autocompletion=complete_day,
        help="At or after: 30m, 12h, 2d, 1w (ago), today, yesterday, 2026-11-01 or 2026-11-01T09:00.",
    ),
]
UntilOption = Annotated[
    str | None, typer.Option(metavar="TIME", autocompletion=complete_day, help="Before; same format.")
]
EmailFilterOption = Annotated[
    str | None, typer.Option("--email", metavar="TEXT", help="Email address; exact match, * is a wildcard.")
]
FirstNameFilterOption = Annotated[
    str | None, typer.Option("--f-name", metavar="TEXT", help="First name; exact match, * is a wildcard.")
]
LastNameFilterOption = Annotated[
    str | None, typer.Option("--l-name", metavar="TEXT", help="Last name; exact match, * is a wildcard.")
]
TextFilterOption = Annotated[
    str | None,
    typer.Option(
        "-q", metavar="WORDS", help="Words, or their beginnings, in the names, email address, CV or your own fields."
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change without changing it.")]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask for confirmation before changing 10 or more leads.")
]
PasswordStdinOption = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
LeadIdArgument = Annotated[str, typer.Argument(metavar="ID", help="Lead id.")]
LeadIdsArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Lead ids, such as 7 9 or 7,9; - reads standard input.")
]
EmailOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Exact email address of the person, without wildcards.")
]
SuspectOption = Annotated[bool, typer.Option("--suspect", help="Include suspect leads, which may be spam.")]


class Omitted:
    """Counts the suspect leads that a command omits, and says how many."""

    def __init__(self, info: Callable[[str], None]) -> None:
        self._info, self._count = info, 0

    def add(self, count: int = 1) -> None:
        self._count += count

    def report(self) -> None:
        """Print the number that was not printed yet, if there is any."""
        if self._count:
            leads = "lead is" if self._count == 1 else "leads are"
            self._info(
                f"{self._count} suspect {leads} omitted; --suspect includes {'it' if self._count == 1 else 'them'}"
            )
        self._count = 0
