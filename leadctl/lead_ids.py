"""Ids, from arguments or from standard input."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from leadctl.errors import UsageError


@dataclass(frozen=True)
class LeadIds:
    """Leads that a command is for, each once, in the order given; `is_single` where one was named as an argument."""

    ids: Sequence[int]
    is_single: bool


def read_lead_ids(arguments: Sequence[str], stdin: TextIO) -> LeadIds:
    """Read ids; an argument `-` stands for those on standard input, parted by white space. Raises Usage."""
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
    """Read one id. Raises Usage."""
    if text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) < 2**63:
        return int(text)
    raise UsageError(f"{text!r} is no id: ids are whole numbers from 1 on")
