"""The signed timestamp of a form, and the name of its honeypot."""

import re
import time

import pytest

from intake.form.timestamps import FormKey
from tests.conftest import Intake

KEY = FormKey(b"k" * 32)


def test_a_signed_timestamp_has_an_age(monkeypatch: pytest.MonkeyPatch) -> None:
    signed, now = KEY.sign(), time.time()
    assert re.fullmatch(r"[\w-]{28}", signed)
    for later in (0.0, 2.5, 86_400.0):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        age_s = KEY.age_s(signed)
        assert age_s is not None
        assert later <= age_s < later + 1


def test_forged_timestamps_have_no_age() -> None:
    forged = ["", "x", "é", "A" * 28, "\0" * 28, KEY.sign()[:-4], FormKey(b"other").sign()]
    assert [KEY.age_s(text) for text in forged] == [None] * len(forged)


def test_every_changed_character_is_noticed() -> None:
    signed = KEY.sign()
    changed = [signed[:n] + ("A" if signed[n] != "A" else "B") + signed[n + 1 :] for n in range(len(signed))]
    assert [KEY.age_s(text) for text in changed] == [None] * len(signed)


def test_the_key_is_that_of_the_database(intake: Intake, twin: Intake) -> None:
    one, other = FormKey.from_database(intake.database), FormKey.from_database(twin.database)
    assert one.age_s(other.sign()) is not None
    assert one.honeypot == other.honeypot
    assert re.fullmatch("[bdfghjkmqrvz]{12}", one.honeypot)
    assert one.honeypot != KEY.honeypot
