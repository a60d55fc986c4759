"""Keys of states, and the rule that a held key decides once."""

import string
from collections.abc import Iterator, Mapping, Sequence

RESERVED = "subcowhnaqjk"  # keys of other actions, some of them future ones
PAUSE_S = 0.4  # without any decision key, before a decision
REPEAT_S = 0.8  # without the same key; many keyboards repeat a held key after half a second or more


def assign_keys(states: Sequence[str], overrides: Mapping[str, str]) -> dict[str, str]:
    """Return the key of each state: the override unless it is taken, else the first free letter of its name or a digit.

    If digits run out too, any free letter is used; a state beyond these has no key.
    """
    assigned: dict[str, str] = {}
    for state, wanted in overrides.items():
        if state in states and wanted not in {*assigned.values(), *RESERVED}:
            assigned[state] = wanted
    for state in states:
        if state not in assigned:
            used = {*assigned.values(), *RESERVED}
            if key := next((key for key in _candidates(state) if key not in used), None):
                assigned[state] = key
    return {state: assigned[state] for state in states if state in assigned}


def _candidates(state: str) -> Iterator[str]:
    yield from (letter for letter in state.lower() if letter in string.ascii_lowercase)
    yield from "1234567890"
    yield from string.ascii_lowercase


def label(state: str) -> str:
    """Return the name of a state in words."""
    return state.lower().replace("_", " ")


def bracketed(state: str, key: str) -> str:
    """Return the name of a state with its key in brackets, such as `[r]eached out`."""
    before, found, after = label(state).partition(key)
    return f"{before}[{key}]{after}" if found else f"[{key}] {label(state)}"


class KeyGate:
    """Admits a decision key only after a pause, so that a held key decides once."""

    def __init__(self) -> None:
        self._last: tuple[str, float] | None = None

    def admits(self, key: str, at_s: float) -> bool:
        """Record a decision key that arrived at this time, and return whether it may decide."""
        before, self._last = self._last, (key, at_s)
        return before is None or at_s - before[1] >= (REPEAT_S if key == before[0] else PAUSE_S)
