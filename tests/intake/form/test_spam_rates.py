"""How many submissions of bots stay unmarked, and how many honest ones are marked.

Each bot and each person sends the fields of a hosted form to the reader of answers, on a simulated clock. The numbers
are in decision 0068.
"""

import random
import time
from collections.abc import Callable, Mapping

import pytest

from intake.form.answers import AnswerReader
from intake.form.definition import FormDefinition, FormField
from intake.form.timestamps import FormKey
from intake.form.values import FieldType

BOTS, PEOPLE = 10_000, 500
FORM = FormDefinition(
    fields=(
        FormField(key="phone", type=FieldType.PHONE, label={"en": "Phone"}),
        FormField(key="story", type=FieldType.LONG_TEXT, label={"en": "What happened?"}),
    )
)
KEY = FormKey(b"a key of a database" * 2)
READER = AnswerReader(FORM, KEY)
# names or parts of names that browsers and password managers fill in
FILLED_IN = (
    *("mail", "name", "user", "login", "pass", "tel", "phone", "addr", "street", "zip", "post", "city", "state"),
    *("country", "birth", "url", "web", "company", "org", "card", "otp", "code", "cc", "pw", "fn", "ln"),
)

Fields = dict[str, str]
Sender = Callable[[random.Random, Fields], tuple[float, Fields]]  # the delay in seconds, and the fields


def naive_poster(_chance: random.Random, _hidden: Fields) -> tuple[float, Fields]:
    """Send the visible fields without opening the page, as scripts of a recorded request do."""
    return 0.0, {"phone": "020 7946 0000", "story": "buy"}


def page_reader(chance: random.Random, hidden: Fields) -> tuple[float, Fields]:
    """Open the page, and send it back at once with the visible fields filled in."""
    return chance.uniform(0.05, 1.5), {**hidden, "phone": "020 7946 0000", "story": "buy"}


def filler(chance: random.Random, hidden: Fields) -> tuple[float, Fields]:
    """Open the page, wait, and fill in every text field but those that have a value."""
    return chance.uniform(0.05, 60), {name: value or "http://spam.example" for name, value in hidden.items()}


def headless_browser(chance: random.Random, hidden: Fields) -> tuple[float, Fields]:
    """Open the page, wait like a person, and fill in only what is visible."""
    return chance.uniform(3, 60), {**hidden, "phone": "020 7946 0000", "story": "buy"}


def person(chance: random.Random, hidden: Fields) -> tuple[float, Fields]:
    """Fill in the visible fields in seconds to days; an old tab is sent as well."""
    return 3 + chance.expovariate(1 / 240) + chance.choice([0, 0, 0, 86_400]), {**hidden, "story": "It rained."}


def person_with_password_manager(chance: random.Random, hidden: Fields) -> tuple[float, Fields]:
    """Let a program fill in all fields, also hidden ones, whose name contains a word that it knows."""
    known = {name: "filled in" for name, value in hidden.items() if not value and any(w in name for w in FILLED_IN)}
    return 3 + chance.expovariate(1 / 20), {**hidden, **known, "phone": "020 7946 0000"}


def person_with_a_snippet(chance: random.Random, _hidden: Fields) -> tuple[float, Fields]:
    """Send the form of a firm's own page, which has no hidden fields."""
    return chance.uniform(1, 600), {"story": "It rained."}


def marked(sender: Sender, count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many of the sender's submissions are suspect."""
    chance, now = random.Random(7), time.time()
    found = 0
    for _ in range(count):
        monkeypatch.setattr(time, "time", lambda: now)
        delay_s, fields = sender(chance, {"timestamp": KEY.sign(), KEY.honeypot: ""})
        monkeypatch.setattr(time, "time", lambda delay_s=delay_s: now + delay_s)
        answers, faults = READER.read(fields)
        assert faults == []
        found += answers.suspect is not None
    return found


def test_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    bots: Mapping[Sender, int] = {naive_poster: 0, page_reader: BOTS, filler: BOTS, headless_browser: 0}
    assert {sender: marked(sender, BOTS, monkeypatch) for sender in bots} == bots
    people = (person, person_with_password_manager, person_with_a_snippet)
    assert {sender: marked(sender, PEOPLE, monkeypatch) for sender in people} == dict.fromkeys(people, 0)


def test_no_honeypot_has_a_word_that_programs_fill_in() -> None:
    names = {FormKey(str(number).encode()).honeypot for number in range(2_000)}
    assert len(names) == 2_000
    assert not [name for name in names if any(word in name for word in FILLED_IN)]
