"""Options that every list has."""

from typing import Annotated

import typer

from leadctl.output.formats import OutputFormat

FormatOption = Annotated[OutputFormat | None, typer.Option("--output", "-o", help="How to show them.")]
ColumnsOption = Annotated[str | None, typer.Option("--columns", help="These alone, in this order: id,state,…")]
HeaderOption = Annotated[bool, typer.Option("--header", help="Begin plain lines with the columns' names.")]
RawOption = Annotated[
    bool, typer.Option("--raw", help="Leave csv as the data is: formulas and control characters, too.")
]
NoPagerOption = Annotated[bool, typer.Option("--no-pager", help="Never start a pager.")]
