"""`leadctl export-person`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import LeadctlError, UsageError
from leadctl.files.filenames import safe_name
from leadctl.files.person_export import to_file, to_stream


def command(
    ctx: typer.Context,
    email: Annotated[str, typer.Option(help="The person's whole address; nothing in it is a wildcard.")],
    target: Annotated[
        str | None, typer.Option("--output-file", "-O", help="The file, else ADDRESS.zip; - is standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write all that is kept of a person into a zip of JSON and CVs; for administrators. Its path is printed.

    The file is yours alone (0600), and has its name only once it is whole.

    Examples: leadctl export-person --email ada@example.com

    leadctl export-person --email ada@example.com -O - > ada.zip
    """
    context: Context = ctx.obj
    if target == "-":
        if context.is_terminal:
            raise UsageError("a zip is nothing for a terminal: give -O FILE, or send it into a pipe")
        with context.api.person(email) as pieces:
            _tell(context, to_stream(pieces, sys.stdout.buffer))
        return
    path = Path(safe_name(f"{email}.zip")) if target is None else Path(target)
    if path.exists() and not (force and path.is_file()):  # a device is never exchanged for a file
        raise _is_there(path)
    with context.api.person(email) as pieces:
        try:
            left_out = to_file(pieces, path.resolve(), force=force)
        except FileExistsError as error:
            raise _is_there(path) from error
        except OSError as error:
            raise LeadctlError(f"can't write {path}: {error.strerror}") from error
    context.print(str(path))
    _tell(context, left_out)


def _tell(context: Context, left_out: Sequence[int]) -> None:
    """Say what is missing of a person's data. Raises PartialFailure where anything is."""
    if left_out:
        why = "its CV is quarantined or was not scanned, and left out; see leadctl download-cv --force-quarantined"
        context.conclude("the zip is not all that is kept of the person", dict.fromkeys(left_out, why))


def _is_there(path: Path) -> LeadctlError:
    return LeadctlError(f"{path} is there already; overwrite {'it' if path.is_file() else 'a file'} with --force")
