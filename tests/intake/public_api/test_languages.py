"""Catalogues of the form's texts, and the choice of a language."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from intake.form.definition import LANGUAGES
from intake.public_api.languages import language
from intake.public_api.messages import explain
from tests.conftest import Intake
from tests.intake.public_api.forms import control, page, send
from tests.system.catalogues import LOCALES, compiled, read, template, updated

TRANSLATED = tuple(code for code in LANGUAGES if code != "en")
UNREVIEWED = ("es", "fr", "ar")


@pytest.fixture
def multilingual(start: Callable[..., Intake], tmp_path: Path) -> Intake:
    """A form in every language, with legal texts in two of them."""
    file = tmp_path / "form.toml"
    codes = ", ".join(f'"{code}"' for code in LANGUAGES)
    texts = 'no_relationship = "{0} 1"\nno_confidential = "{0} 2"\nprivacy = "{0} 3"\n'
    file.write_text(
        f'languages = [{codes}]\nprivacy_url = "https://firm.example/privacy"\n'
        f"[texts.en]\n{texts.format('legal')}[texts.de]\n{texts.format('rechtlich')}"
    )
    return start(form=file)


@pytest.mark.parametrize("code", TRANSLATED)
def test_catalogues_are_complete_current_and_compiled(code: str) -> None:
    assert (LOCALES / f"{code}.po").read_bytes() == updated(code), "run: make catalogues"
    assert (LOCALES / f"{code}.mo").read_bytes() == compiled(code), "run: make catalogues"
    messages = [message for message in read(code) if message.id]
    assert {str(message.id) for message in messages} == {str(message.id) for message in template() if message.id}
    for message in messages:
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(strings), message.id
        assert not message.check(), message.id
        assert not message.fuzzy, message.id


@pytest.mark.parametrize("code", TRANSLATED)
def test_catalogues_say_who_reviewed_them(code: str) -> None:
    head = (LOCALES / f"{code}.po").read_text("utf-8").partition("msgid")[0]
    is_signed = re.search(r"^# Reviewed by \w.+, \d{4}-\d\d-\d\d$", head, re.MULTILINE) is not None
    assert ("UNREVIEWED" in head) != is_signed or code not in UNREVIEWED
    assert "UNREVIEWED" not in head or code in UNREVIEWED


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1, "بعد ثانية واحدة"), (2, "بعد ثانيتين"), (3, "بعد 3 ثوانٍ"), (11, "بعد 11 ثانية"), (120, "بعد دقيقتين")],
)
def test_arabic_has_its_plural_forms(seconds: int, expected: str) -> None:
    problem = {"status": 429, "detail": "…"}
    assert expected in explain(language("ar"), problem, retry_after=str(seconds), max_bytes=1).text


def test_arabic_selects_each_of_its_six_forms() -> None:
    forms = [language("ar").ngettext("in %(count)d day", "in %(count)d days", count) for count in (0, 1, 2, 3, 11, 100)]
    assert len(set(forms)) == 6


@pytest.mark.parametrize(
    ("query", "accepted", "expected"),
    [
        ("", "", "en"),
        ("", "de-AT,de;q=0.9,en;q=0.8", "de"),
        ("", "pl, es;q=0.5, fr;q=0.7", "fr"),
        ("", "de;q=0, es", "es"),
        ("", "*", "en"),
        ("", "DE", "de"),
        ("", "," * 30_000, "en"),
        ("?lang=ar", "de", "ar"),
        ("?lang=xx", "de", "de"),
        ("?lang=../de", "", "en"),
    ],
)
def test_the_language_of_a_page(multilingual: Intake, query: str, accepted: str, expected: str) -> None:
    text = page(multilingual, f"/{query}", **{"Accept-Language": accepted})
    assert f'<html lang="{expected}" dir="{"rtl" if expected == "ar" else "ltr"}">' in text
    assert f'action="/leads/?lang={expected}"' in text


def test_errors_and_thanks_are_in_the_language_of_the_form(multilingual: Intake) -> None:
    own = {"language": "de", "timestamp": "x", "privacy": "yes"}
    answer = send(multilingual, path="/leads/?lang=de", own=own, f_name="")
    assert "<title>Fehler: Senden Sie uns Ihre Angaben" in answer.text
    assert '<a href="#f_name">Vorname: Bitte ausfüllen.</a>' in answer.text
    assert answer.headers["Content-Language"] == "de"
    assert send(multilingual, path="/leads/?lang=de", own=own).headers["Location"] == "/thanks?lang=de"
    snippet = send(multilingual, path="/leads/", own={"a": "b"}, f_name="", headers={"Accept-Language": "fr"})
    assert "Veuillez vérifier votre saisie" in snippet.text


def test_missing_legal_texts_are_in_the_default_language_and_marked(multilingual: Intake) -> None:
    assert "<p>rechtlich 1</p>" in page(multilingual, "/?lang=de")
    text = page(multilingual, "/?lang=ar")
    assert [number for number in "123" if f'<p lang="en" dir="auto">legal {number}</p>' in text] == ["1", "2", "3"]
    assert control(text, "f_name")["dir"] == "auto"


def test_a_visitor_can_change_the_language(multilingual: Intake) -> None:
    text = page(multilingual, "/?lang=de")
    assert re.findall(r'<a href="/\?lang=(\w+)" lang="\1" hreflang="\1">', text) == ["en", "es", "fr", "ar"]
    assert '<span aria-current="true" lang="de">Deutsch</span>' in text


def test_one_language_has_no_choice(start: Callable[..., Intake], tmp_path: Path) -> None:
    (tmp_path / "form.toml").write_text('languages = ["de"]\ndefault_language = "de"')
    assert "<nav" not in page(start(form=tmp_path / "form.toml"))
