"""Keys of states."""

import pytest

from intake.settings import parsers
from leadctl.triage.keys import PAUSE_S, REPEAT_S, RESERVED, KeyGate, assign_keys, bracketed


def test_the_service_and_the_client_reserve_the_same_keys() -> None:
    assert parsers.RESERVED_KEYS == RESERVED


@pytest.mark.parametrize(
    ("states", "overrides", "keys"),
    [
        (["PENDING", "REACHED_OUT", "ENGAGED", "DECLINED"], {}, "pred"),
        (["NEW"], {}, "e"),
        (["REVIEW", "REJECTED", "RETIRED"], {}, "ret"),
        (["REVIEW", "REJECTED"], {"REVIEW": "v"}, "vr"),
        (["REVIEW", "REJECTED"], {"REJECTED": "r"}, "er"),
        (["SUB", "COW", "NAQ"], {}, "123"),
        (["SUB", "COW"], {"SUB": "1", "GONE": "2"}, "12"),
        (["REVIEW", "REJECTED"], {"REVIEW": "s", "REJECTED": "q"}, "re"),
        (["REVIEW", "REJECTED"], {"REVIEW": "x", "REJECTED": "x"}, "xr"),
    ],
)
def test_each_state_has_the_first_free_letter_of_its_name(
    states: list[str], overrides: dict[str, str], keys: str
) -> None:
    assert assign_keys(states, overrides) == dict(zip(states, keys, strict=True))


def test_states_beyond_all_keys_have_none() -> None:
    states = [f"S{'U' * number}" for number in range(1, 31)]
    assigned = assign_keys(states, {})
    assert list(assigned) == states[:24]
    assert len(set(assigned.values())) == 24
    assert not set(assigned.values()) & set(RESERVED)


def test_a_key_is_bracketed_in_the_name() -> None:
    assert bracketed("REACHED_OUT", "r") == "[r]eached out"
    assert bracketed("REVIEW", "v") == "re[v]iew"
    assert bracketed("COW", "1") == "[1] cow"


def admitted(*presses: tuple[str, float]) -> list[bool]:
    gate = KeyGate()
    return [gate.admits(key, at) for key, at in presses]


@pytest.mark.parametrize("delay", [0.2, 0.25, 0.5, 0.66, 0.79])
def test_a_held_key_is_admitted_once_whatever_the_keyboards_delay(delay: float) -> None:
    repeats = [("r", 10 + delay + number / 30) for number in range(60)]
    assert admitted(("r", 10.0), *repeats) == [True, *[False] * 60]


def test_another_key_needs_a_shorter_pause() -> None:
    assert admitted(("r", 1.0), ("d", 1.0 + PAUSE_S - 0.01)) == [True, False]
    assert admitted(("r", 1.0), ("d", 1.01 + PAUSE_S)) == [True, True]
    assert admitted(("r", 1.0), ("r", 1.01 + REPEAT_S)) == [True, True]
    assert admitted(("r", 1.0), ("d", 1.1), ("r", 1.45)) == [True, False, False], "ignored keys count too"
