"""`leadctl download-cv`."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import LeadctlError, Partly, Usage
from leadctl.selection import select

MAX_NAME_BYTES = 200  # most file systems take 255; a draft's name is a little longer
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # Windows' device names


def command(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Lead ids; - reads them from standard input.")],
    directory: Annotated[Path, typer.Option("--dir", "-d", help="Where to put them.")] = Path(),
    target: Annotated[
        str | None, typer.Option("--output-file", "-O", help="The file for a single CV; - is standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Fetch CVs, checked against their SHA-256, each as ID-NAME; the paths are printed.

    Examples: leadctl download-cv 42 -d cvs

    leadctl download-cv 42 -O - | pdftotext - -
    """
    context: Context = ctx.obj
    selection = select(ids, sys.stdin)
    if target is not None and len(selection.ids) != 1:
        raise Usage("-O is for a single CV; use -d for several")
    if target is None and not directory.is_dir():
        raise Usage(f"there is no directory {str(directory)!r}")

    def fetch(lead_id: int) -> None:
        with context.api.cv(lead_id) as download:
            if target == "-":
                sys.stdout.buffer.writelines(download.chunks)
                return
            path = Path(target) if target else directory / f"{lead_id}-{safe_name(download.name)}"
            _save(path, download.chunks, force=force)
        context.print(str(path))

    if selection.is_single:
        fetch(selection.ids[0])
    elif (done := context.each(selection.ids, "Fetching CVs", fetch)) < len(selection.ids):
        raise Partly(f"{done} of {len(selection.ids)} CVs were fetched")


def safe_name(name: str) -> str:
    """Return a file name that is near to `name`, and on any system stays in its directory and is obeyed by nothing."""
    base = re.split(r"[/\\]", name)[-1]
    plain = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in base)
    stem = plain.encode("utf-8")[:MAX_NAME_BYTES].decode("utf-8", "ignore").strip(". ")
    if len(stem) < len(plain.strip(". ")):  # cut: the ending says more than the end of the rest
        ending = Path(plain).suffix[:16]
        stem = stem.encode("utf-8")[: MAX_NAME_BYTES - len(ending.encode())].decode("utf-8", "ignore") + ending
    return f"_{stem}" if not stem or _RESERVED.match(stem) else stem


def _save(path: Path, chunks: Iterator[bytes], *, force: bool) -> None:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("wb") as device:  # a terminal or a pipe: nothing is there that could be lost
                device.writelines(chunks)
        elif path.exists() and not force:
            raise FileExistsError
        else:
            _write(path.resolve(), chunks, force=force)
    except FileExistsError as error:
        raise LeadctlError(f"{path} is there already; overwrite it with --force") from error
    except OSError as error:
        raise LeadctlError(f"can't write {path}: {error.strerror}") from error


def _write(path: Path, chunks: Iterator[bytes], *, force: bool) -> None:
    """Write beside the target, for its owner's eyes alone, and put it in its place only when it is whole."""
    number, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:32]}-")
    try:
        with os.fdopen(number, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(Path(draft), path, force=force)
    finally:
        Path(draft).unlink(missing_ok=True)


def _put_in_place(draft: Path, path: Path, *, force: bool) -> None:
    if not force:
        try:
            path.hardlink_to(draft)  # unlike a rename, it never overwrites what came in the meantime
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            pass
    draft.replace(path)
