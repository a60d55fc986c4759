"""What comes of a wanted change of state."""

import pytest

from intake.leads.states import Outcome, decide


@pytest.mark.parametrize(
    ("state", "to", "expected", "own", "outcome"),
    [
        ("PENDING", "ENGAGED", None, False, Outcome.CHANGED),
        ("PENDING", "PENDING", None, False, Outcome.UNCHANGED),
        ("PENDING", "ENGAGED", "PENDING", False, Outcome.CHANGED),
        ("PENDING", "PENDING", "PENDING", False, Outcome.UNCHANGED),
        ("DECLINED", "ENGAGED", "PENDING", False, Outcome.CONFLICT),
        ("DECLINED", "ENGAGED", "PENDING", True, Outcome.CONFLICT),
        ("ENGAGED", "ENGAGED", "PENDING", False, Outcome.CONFLICT),
        ("ENGAGED", "ENGAGED", "PENDING", True, Outcome.UNCHANGED),
    ],
)
def test_decide(state: str, to: str, expected: str | None, own: bool, outcome: Outcome) -> None:
    assert decide(state=state, to=to, expected=expected, last_change_is_own=own) is outcome
