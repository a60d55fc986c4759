"""Safe names for downloaded files, close to the sender's."""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Any

from leadctl.errors import LeadctlError, UsageError
from leadctl.output.escapes import is_hidden

FIELDS = ("id", "email", "f_name", "l_name", "name", "stem", "ext", "state")
MAX_NAME_BYTES = 200  # most file systems take 255
# as an output file: standard output, even if it is a file
STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_SEPARATORS = re.compile(r"[/\\]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # Windows' device names


class Template:
    """A file name template with lead fields in braces, such as `{id}-{l_name}{ext}`. Raises UsageError."""

    def __init__(self, text: str) -> None:
        try:
            parts = list(Formatter().parse(text))
        except ValueError as error:
            raise _usage_error(text, str(error)) from error
        for literal, field, spec, conversion in parts:
            if spec or conversion:
                raise _usage_error(text, "formats and conversions are not supported")
            if field is not None and field not in FIELDS:
                raise _usage_error(text, f"unknown field {{{field}}}")
            if _SEPARATORS.search(literal):
                raise _usage_error(text, "use -d for a directory")
        if not parts:
            raise _usage_error(text, "it is empty")
        self._text, self._parts = text, parts

    def name(self, lead: Mapping[str, Any]) -> str:
        """Return the file name for a lead's CV. Raises UsageError if it is empty."""
        values = _values(lead)
        name = "".join(literal + ("" if field is None else values[field]) for literal, field, *_ in self._parts)
        if not name.strip(". "):
            raise _usage_error(self._text, f"the name for lead {lead['id']} is empty")
        return safe_name(name)


def safe_name(name: str) -> str:
    """Return a file name close to `name` that stays in its directory, is safe on any system, and is not an option."""
    base = _SEPARATORS.split(name)[-1]
    plain = "".join(c if c.isprintable() and not is_hidden(c) and c not in '<>:"|?*' else "_" for c in base)
    stem = plain.encode("utf-8")[:MAX_NAME_BYTES].decode("utf-8", "ignore").strip(". ")
    if len(stem) < len(plain.strip(". ")):  # truncated: keep the extension
        suffix = PurePosixPath(plain).suffix[:16]
        stem = stem.encode("utf-8")[: MAX_NAME_BYTES - len(suffix.encode())].decode("utf-8", "ignore") + suffix
    return f"_{stem}" if not stem or stem.startswith("-") or _RESERVED.match(stem) else stem


def shown(path: Path) -> str:
    """Return the path as text that a shell command does not take as an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def check_target(path: Path) -> None:
    """Raise LeadctlError for another user's link or pipe, and for any device except the null device.

    Another user's link could lead the output to any file of ours, and their pipe would pass it to them.
    """
    if str(path) == os.devnull:
        return
    if path.is_symlink() and not _is_own(path.lstat()):
        raise LeadctlError(f"{path} is a symbolic link of another user; choose another file")
    if path.exists() and not (path.is_file() or path.is_dir() or (path.is_fifo() and _is_own(path.stat()))):
        raise LeadctlError(f"{path} is a device, or a pipe of another user; choose another file")


def _is_own(status: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()  # Windows has no user ids


def move_into_place(draft: Path, target: Path, *, force: bool) -> None:
    """Move a complete file to its target; overwrite only with `force`. Raises FileExistsError or OSError."""
    if not force:
        try:
            target.hardlink_to(draft)  # unlike a rename, it never overwrites a new file
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if target.exists():
                raise FileExistsError(target) from None
    draft.replace(target)


def _values(lead: Mapping[str, Any]) -> dict[str, str]:
    cv_name = PurePosixPath(_SEPARATORS.split(lead["CV_name"])[-1])
    own = {"name": cv_name.name, "stem": cv_name.stem, "ext": cv_name.suffix}
    values = {field: str(own.get(field, lead.get(field))) for field in FIELDS}
    return {field: _SEPARATORS.sub("_", text) for field, text in values.items()}


def _usage_error(text: str, reason: str) -> UsageError:
    known = " ".join(f"{{{field}}}" for field in FIELDS)
    return UsageError(f"invalid --name {text!r}: {reason}; the fields are {known}")
