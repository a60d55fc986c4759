"""Names for downloaded files: near to what their senders wrote, and obeyed by nothing."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Any

from leadctl.errors import UsageError
from leadctl.output.escapes import is_hidden

FIELDS = ("id", "email", "f_name", "l_name", "name", "stem", "ext", "state")
MAX_NAME_BYTES = 200  # most file systems take 255
_SEPARATORS = re.compile(r"[/\\]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # Windows' device names


class Template:
    """A pattern of names with fields of a lead in braces, such as `{id}-{l_name}{ext}`. Raises Usage."""

    def __init__(self, text: str) -> None:
        try:
            self._parts = [(literal, field) for literal, field, *rest in Formatter().parse(text) if _is_plain(*rest)]
        except ValueError as error:
            raise _unusable(text, str(error)) from error
        for literal, field in self._parts:
            if field is not None and field not in FIELDS:
                raise _unusable(text, f"{{{field}}} is no field")
            if _SEPARATORS.search(literal):
                raise _unusable(text, "it names a directory, which is for -d")
        if not self._parts:
            raise _unusable(text, "it is empty")
        self._text = text

    def name(self, lead: Mapping[str, Any]) -> str:
        """Return the name for a lead's CV. Raises Usage where it is empty."""
        values = _values(lead)
        name = "".join(literal + ("" if field is None else values[field]) for literal, field in self._parts)
        if not name.strip(". "):
            raise _unusable(self._text, f"it gives lead {lead['id']} no name")
        return safe_name(name)


def safe_name(name: str) -> str:
    """Return a file name that is near to `name`, and on any system stays in its directory and is obeyed by nothing."""
    base = _SEPARATORS.split(name)[-1]
    plain = "".join(c if c.isprintable() and not is_hidden(c) and c not in '<>:"|?*' else "_" for c in base)
    stem = plain.encode("utf-8")[:MAX_NAME_BYTES].decode("utf-8", "ignore").strip(". ")
    if len(stem) < len(plain.strip(". ")):  # cut: the ending says more than the end of the rest
        ending = PurePosixPath(plain).suffix[:16]
        stem = stem.encode("utf-8")[: MAX_NAME_BYTES - len(ending.encode())].decode("utf-8", "ignore") + ending
    return f"_{stem}" if not stem or _RESERVED.match(stem) else stem


def give_name(draft: Path, target: Path, *, force: bool) -> None:
    """Give a file that is whole its name; without `force` nothing is overwritten. Raises FileExistsError or OSError."""
    if not force:
        try:
            target.hardlink_to(draft)  # unlike a rename, it never overwrites what came in the meantime
            return
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if target.exists():
                raise FileExistsError(target) from None
    draft.replace(target)


def _is_plain(spec: str | None, conversion: str | None) -> bool:
    if spec or conversion:
        raise ValueError("a field is a name alone")
    return True


def _values(lead: Mapping[str, Any]) -> dict[str, str]:
    cv_name = PurePosixPath(_SEPARATORS.split(lead["CV_name"])[-1])
    own = {"name": cv_name.name, "stem": cv_name.stem, "ext": cv_name.suffix}
    texts = {field: str(own.get(field, lead.get(field))) for field in FIELDS}
    return {field: _SEPARATORS.sub("_", text) for field, text in texts.items()}


def _unusable(text: str, why: str) -> UsageError:
    known = " ".join(f"{{{field}}}" for field in FIELDS)
    return UsageError(f"--name {text!r} can't be used: {why}; the fields are {known}")
