"""`leadctl export-person`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import LeadctlError, UsageError
from leadctl.files.filenames import STDOUT, check_target, safe_name, shown
from leadctl.files.person_export import to_file, to_stream
from leadctl.options import EmailOption


def command(
    ctx: typer.Context,
    email: EmailOption,
    target: Annotated[
        str | None,
        typer.Option("--output-file", "-O", metavar="FILE", help="File. Default: ADDRESS.zip; - for standard output."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Export all data of a person as a zip. For administrators.

    Saves JSON and CVs, and prints the path. Only you can read the file (mode 0600). It appears when it is complete.

    Examples:
      leadctl export-person --email ada@example.com
      leadctl export-person --email ada@example.com -O - > ada.zip
    """
    context: Context = ctx.obj
    if target in STDOUT:
        if context.is_terminal:
            raise UsageError("refusing to write a zip to a terminal; use -O")
        with context.api.export_person(email) as chunks:
            _report_omitted(context, to_stream(chunks, sys.stdout.buffer))
        return
    path = Path(safe_name(f"{email}.zip")) if target is None else Path(target)
    check_target(path)
    if path.exists() and not (force and path.is_file()):  # never replace a device with a file
        raise _file_exists(path)
    with context.api.export_person(email) as chunks:
        try:
            omitted = to_file(chunks, path.resolve(), force=force)
        except FileExistsError as error:
            raise _file_exists(path) from error
        except OSError as error:
            raise LeadctlError(f"can't write {path}: {error.strerror}") from error
    context.write_line(shown(path))
    _report_omitted(context, omitted)


def _report_omitted(context: Context, omitted: Sequence[int]) -> None:
    """Print the omitted CVs. Raises PartialFailure if there are any."""
    if omitted:
        why = "its CV is quarantined or not scanned, and was omitted; use leadctl download-cv --force-quarantined"
        context.summarize("the zip is incomplete", dict.fromkeys(omitted, why))


def _file_exists(path: Path) -> LeadctlError:
    hint = "; use --force to overwrite it" if path.is_file() else " and is not a file"
    return LeadctlError(f"{path} already exists{hint}")
