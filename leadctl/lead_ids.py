"""Lead and mail ids, from arguments or standard input."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from leadctl.errors import UsageError


@dataclass(frozen=True)
class LeadIds:
    """Unique ids in the order given; `is_single` if the only one was given as an argument."""

    ids: Sequence[int]
    is_single: bool


def read_lead_ids(arguments: Sequence[str], stdin: TextIO) -> LeadIds:
    """Return ids; `-` stands for those on standard input, separated by white space. Raises UsageError."""
    from_stdin = "-" in arguments
    ids = list(dict.fromkeys(_ids(arguments, stdin)))
    return LeadIds(ids, is_single=len(ids) == 1 and not from_stdin)


def _ids(arguments: Sequence[str], stdin: TextIO) -> Iterable[int]:
    for argument in arguments:
        if argument == "-":
            for line in stdin:
                yield from map(parse_lead_id, line.split())
        else:
            yield parse_lead_id(argument)


def parse_lead_id(text: str) -> int:
    """Return the id. Raises UsageError."""
    if text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) < 2**63:
        return int(text)
    raise UsageError(f"{text!r} is not an id; ids are positive integers")
