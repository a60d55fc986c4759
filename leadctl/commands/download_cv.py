"""`leadctl download-cv`."""

import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import LeadctlError, PartialFailure, UsageError
from leadctl.files.downloads import Source, to_file, to_stream
from leadctl.files.filenames import Template, safe_name
from leadctl.lead_ids import read_lead_ids


def command(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Lead ids; - reads them from standard input.")],
    directory: Annotated[Path, typer.Option("--dir", "-d", help="Where to put them.")] = Path(),
    target: Annotated[
        str | None, typer.Option("--output-file", "-O", help="The file for a single CV; - is standard output.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="How to name them, of {id} {email} {f_name} {l_name} {name} {stem} {ext} {state}."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    quarantined: Annotated[
        bool,
        typer.Option(
            "--force-quarantined",
            help="Also fetch a CV that is quarantined, not scanned yet, or too large to scan; it is recorded.",
        ),
    ] = False,
) -> None:
    """Fetch CVs, checked against their SHA-256, each as ID-NAME; the paths are printed.

    What breaks off is gone on with by the next run. Two leads of a run never share a name, whatever --force says.

    Examples: leadctl download-cv 42 -d cvs

    leadctl list --state ENGAGED -o ids | leadctl download-cv -d cvs --name '{id}-{l_name}{ext}' -

    leadctl download-cv 42 -O - | pdftotext - -
    """
    context: Context = ctx.obj
    template = None if name is None else Template(name)
    selection = read_lead_ids(ids, sys.stdin)
    if target is not None and (len(selection.ids) != 1 or template):
        raise UsageError("-O is for a single CV, and is its whole name; use -d for several, and with --name")
    if target is None and not directory.is_dir():
        raise UsageError(f"there is no directory {str(directory)!r}")
    source = Source(context.api, quarantined)
    files = _Files(context, source, directory, template, force=force)

    def fetch(lead_id: int) -> None:
        if target == "-":
            files.write_out(lead_id)
        elif target is not None:
            files.fetch_to(lead_id, Path(target))
        else:
            files.fetch(lead_id)

    if selection.is_single:
        fetch(selection.ids[0])
    elif (done := context.each(selection.ids, "Fetching CVs", fetch)) < len(selection.ids):
        raise PartialFailure(f"{done} of {len(selection.ids)} CVs were fetched")


class _Files:
    """The files of one run, each with a name of its own."""

    def __init__(
        self, context: Context, source: Source, directory: Path, template: Template | None, *, force: bool
    ) -> None:
        self._context, self._source = context, source
        self._directory, self._template, self._force = directory, template, force
        self._taken: dict[str, int] = {}

    def fetch(self, lead_id: int) -> None:
        """Fetch a CV into the directory."""
        path = None if self._template is None else self._directory / self._name(lead_id, self._template)

        def place(cv_name: str) -> Path:
            nonlocal path
            path = path or self._directory / f"{lead_id}-{safe_name(cv_name)}"
            self._check_free(path)
            return path

        with _told(lambda: path or self._directory):
            if path is not None:
                self._check_free(path)  # before anything is sent for
            self._save(lead_id, place, self._directory)
        self._context.print(str(path))

    def fetch_to(self, lead_id: int, path: Path) -> None:
        """Fetch a CV into one file, wherever its links lead, or into a device."""
        with _told(lambda: path):
            if path.exists() and not path.is_file() and not path.is_dir():
                with path.open("wb") as device:  # a terminal or a pipe: nothing is there that could be lost
                    to_stream(self._source, lead_id, device, transfer=self._transfer)
            else:
                self._check_free(path)
                real = path.resolve()
                self._save(lead_id, lambda _cv_name: real, real.parent)
        self._context.print(str(path))

    def write_out(self, lead_id: int) -> None:
        """Write a CV to standard output; a bar would be in its way on a terminal."""
        transfer = (lambda _size: nullcontext(lambda _amount: None)) if self._context.is_terminal else self._transfer
        to_stream(self._source, lead_id, sys.stdout.buffer, transfer=transfer)

    def _name(self, lead_id: int, template: Template) -> str:
        name = template.name(self._context.api.lead(lead_id))
        key = unicodedata.normalize("NFC", name).casefold()  # as file systems may compare names
        if (other := self._taken.setdefault(key, lead_id)) != lead_id:
            raise LeadctlError(f"{name} is the name of lead {other}'s CV already; put {{id}} into --name")
        return name

    def _check_free(self, path: Path) -> None:
        if path.exists() and not self._force:
            raise FileExistsError

    def _save(self, lead_id: int, place: Callable[[str], Path], directory: Path) -> None:
        to_file(self._source, lead_id, place, directory, force=self._force, transfer=self._transfer)

    def _transfer(self, size: int) -> AbstractContextManager[Callable[[int], None]]:
        return self._context.transfer("Fetching a CV", size)


@contextmanager
def _told(path: Callable[[], Path]) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise LeadctlError(f"{path()} is there already; overwrite it with --force") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LeadctlError(f"can't write {path()}: {error.strerror}") from error
