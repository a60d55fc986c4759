"""`leadctl download-cv`."""

import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from leadctl.context import Context
from leadctl.errors import Conflict, LeadctlError, NotFound, PartialFailure, UsageError
from leadctl.files.downloads import PartialDownload, Source, to_file, to_stream
from leadctl.files.filenames import STDOUT, Template, check_target, safe_name, shown
from leadctl.ids import read_ids
from leadctl.options import LeadIdsArgument
from leadctl.output.cautions import caution
from leadctl.output.formats import Record


def command(
    ctx: typer.Context,
    ids: LeadIdsArgument,
    directory: Annotated[
        Path, typer.Option("--dir", "-d", metavar="DIR", help="Directory for the files; created if missing.")
    ] = Path(),
    target: Annotated[
        str | None,
        typer.Option("--output-file", "-O", metavar="FILE", help="File for a single CV; - for standard output."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE", help="File names, from {id} {email} {f_name} {l_name} {name} {stem} {ext} {state}."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    quarantined: Annotated[
        bool,
        typer.Option(
            "--force-quarantined",
            help="Also download CVs that are quarantined, not scanned yet, or too large to scan (audited).",
        ),
    ] = False,
) -> None:
    """Download CVs.

    Saves each as ID-NAME, verifies its SHA-256, and prints its path; on a terminal, warns of a dangerous CV. The next
    run resumes an interrupted download. If --name gives two leads the same name, the second fails, even with
    --force.

    Examples:
      leadctl download-cv 42 -d cvs
      leadctl list -o ids | leadctl download-cv --name '{id}-{l_name}{ext}' -
      leadctl download-cv 42 -O - | pdftotext - -
    """
    context: Context = ctx.obj
    target = "-" if target in STDOUT else target
    template = None if name is None else Template(name)
    selected, is_single = read_ids(ids)
    if target is not None and (len(selected) != 1 or template):
        raise UsageError("-O requires a single CV, and excludes --name; use -d for several")
    if target == "-" and context.is_terminal and not force:
        raise UsageError("refusing to write a CV to a terminal, which may execute it; use -O FILE, a pipe, or --force")
    if target is not None and Path(target).is_dir():
        raise UsageError(f"{target} is a directory; use -d")
    if target is None and directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory}: not a directory")
    files = _Files(context, directory, template, force=force, quarantined=quarantined)

    def download(lead_id: int) -> None:
        files.download(lead_id, target, "this CV" if is_single else f"the CV of lead {lead_id}")

    if is_single:
        download(selected[0])
    elif (done := context.for_each(selected, "Downloading CVs", download)) < len(selected):
        raise PartialFailure(f"{done} of {len(selected)} CVs downloaded")


class _Files:
    """The files of one run, with unique names."""

    def __init__(
        self, context: Context, directory: Path, template: Template | None, *, force: bool, quarantined: bool
    ) -> None:
        self._context, self._directory, self._template = context, directory, template
        self._force, self._quarantined = force, quarantined
        self._taken: dict[str, int] = {}

    def download(self, lead_id: int, target: str | None, subject: str) -> None:
        """Download a CV to the target, "-" for standard output, or into the directory; warn of a dangerous one."""
        try:
            # a warning needs the lead: another request
            lead = self._context.api.lead(lead_id) if self._context.shows_warnings else None
            self._download(lead_id, target, lead)
        except NotFound:  # it was erased, and its data must not remain here
            PartialDownload.discard(self._directory if target is None else Path(target).resolve().parent, lead_id)
            raise
        if lead and (warning := caution(lead, subject)):
            self._context.warn(warning)

    def _download(self, lead_id: int, target: str | None, lead: Record | None) -> None:
        source = partial(self._context.api.download_cv, lead_id, quarantined=self._quarantined)
        try:
            if target == "-":
                self._to_stdout(source)
            elif target is not None:
                self._to_path(source, lead_id, Path(target))
            else:
                self._to_directory(source, lead_id, lead)
        except Conflict as error:  # the server's message says "force", but --force overwrites files
            raise Conflict(f"{error} (--force-quarantined)") from error

    def _to_directory(self, source: Source, lead_id: int, lead: Record | None) -> None:
        """Download a CV into the directory, which is created if missing; a `lead` names it as its caution does."""
        path = None if self._template is None else self._directory / self._name(lead_id, self._template)

        def choose_path(cv_name: str) -> Path:
            nonlocal path
            path = path or self._directory / f"{lead_id}-{safe_name(lead['CV_name'] if lead else cv_name)}"
            self._directory.mkdir(parents=True, exist_ok=True)
            self._check_free(path)
            return path

        with _translated_errors(lambda: path or self._directory):
            if path is not None:
                self._check_free(path)  # before the download
            to_file(source, lead_id, choose_path, self._directory, force=self._force, transfer=self._transfer)
        assert path is not None
        self._context.write_line(shown(path))

    def _to_path(self, source: Source, lead_id: int, path: Path) -> None:
        """Download a CV into one file, following links, or into a pipe or the null device."""
        with _translated_errors(lambda: path):
            check_target(path)
            if path.exists() and not path.is_file() and not path.is_dir():
                with path.open("wb") as stream:  # where nothing can be overwritten
                    to_stream(source, stream, transfer=self._transfer)
            else:
                self._check_free(path)
                real = path.resolve()
                to_file(source, lead_id, lambda _: real, real.parent, force=self._force, transfer=self._transfer)
        self._context.write_line(shown(path))

    def _to_stdout(self, source: Source) -> None:
        """Write a CV to standard output, without a progress bar on a terminal."""
        transfer = (lambda _size: nullcontext(lambda _amount: None)) if self._context.is_terminal else self._transfer
        to_stream(source, sys.stdout.buffer, transfer=transfer)

    def _name(self, lead_id: int, template: Template) -> str:
        name = template.name(self._context.api.lead(lead_id))
        key = unicodedata.normalize("NFC", name).casefold()  # some file systems compare names like this
        if (other := self._taken.setdefault(key, lead_id)) != lead_id:
            raise LeadctlError(f"{name} is already the file of lead {other}; add {{id}} to --name")
        return name

    def _check_free(self, path: Path) -> None:
        if path.exists() and not self._force:
            raise FileExistsError

    def _transfer(self, size: int) -> AbstractContextManager[Callable[[int], None]]:
        return self._context.transfer("Downloading a CV", size)


@contextmanager
def _translated_errors(path: Callable[[], Path]) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise LeadctlError(f"{path()} already exists; use --force to overwrite it") from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LeadctlError(f"can't write {path()}: {error.strerror}") from error
