"""Lead and mail ids, from arguments or standard input."""

import re
import sys
from collections.abc import Sequence
from itertools import chain

from leadctl.errors import UsageError


def read_ids(arguments: Sequence[str]) -> tuple[Sequence[int], bool]:
    """Return unique ids in the order given, and whether the only one was given as an argument.

    `-` stands for the ids on standard input. White space and commas separate ids. Raises UsageError.
    """
    words = (
        chain.from_iterable(map(_words, sys.stdin)) if text == "-" else _words(text) or [text] for text in arguments
    )
    ids = list(dict.fromkeys(map(parse_id, chain.from_iterable(words))))
    return ids, len(ids) == 1 and "-" not in arguments


def _words(text: str) -> Sequence[str]:
    return text.replace(",", " ").split()


def parse_id(text: str) -> int:
    """Return the id. Raises UsageError."""
    if text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) < 2**63:
        return int(text)
    is_name = re.fullmatch(r"[^\W\d_][\w.@-]*", text)  # nor has it a character that a shell interprets
    hint = f"; to find a person: leadctl search {text}" if is_name else ""
    raise UsageError(f"{text!r} is not an id; ids are positive integers{hint}")
