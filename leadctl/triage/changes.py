"""Decisions and undos that a session sends, and their results."""

from dataclasses import dataclass
from enum import Enum
from uuid import UUID


class Step(Enum):
    """Next steps of the front end."""

    STAY = "stay"  # on this lead
    SHOW = "show"  # the lead at the session's position
    NOTICE = "notice"  # show the message; any key goes to the next lead, b stays on this one


@dataclass(frozen=True)
class Result:
    """A message, and the next step."""

    text: str
    step: Step


@dataclass(frozen=True)
class Decision:
    """A change of one lead that was or will be sent."""

    change: UUID
    lead_id: int
    before: str
    state: str
    name: str = ""  # of the lead, escaped


@dataclass(frozen=True)
class Undo:
    """An undo of a decision that was or will be sent."""

    change: UUID
    decision: Decision
