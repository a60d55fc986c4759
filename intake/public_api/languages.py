"""Languages of the form and its result pages: catalogues of texts, and formatting in each of them."""

import gettext
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from intake.form.definition import LANGUAGES

_RIGHT_TO_LEFT = ("ar",)
_SOURCE = "en"  # the language of the texts in code and templates


@dataclass(frozen=True)
class Language:
    """A language, and the catalogue of its texts."""

    code: str
    _catalogue: gettext.NullTranslations = field(repr=False)

    @property
    def name(self) -> str:
        """The language's own name."""
        return LANGUAGES[_base(self.code)]

    @property
    def direction(self) -> str:
        """The writing direction, as in HTML."""
        return "rtl" if _base(self.code) in _RIGHT_TO_LEFT else "ltr"

    def isolate(self, text: str) -> str:
        """Return a text in Latin letters, such as names of file types, isolated from right-to-left text."""
        return f"\u2068{text}\u2069" if self.direction == "rtl" else text

    def gettext(self, message: str, **params: object) -> str:
        """Return the translation of a message, with its parameters."""
        return self._catalogue.gettext(message) % params

    def ngettext(self, singular: str, plural: str, count: int, **params: object) -> str:
        """Return the translation of a message in the form for a number, which is also the parameter `count`."""
        return self._catalogue.ngettext(singular, plural, count) % {"count": count, **params}


def mark(message: str) -> str:
    """Return a message, which is translated later, unchanged; `make catalogues` extracts it."""
    return message


@cache
def language(code: str) -> Language:
    """Return a language of `LANGUAGES`, such as `de`, or a variant of it, such as `de-AT`."""
    if _base(code) == _SOURCE:
        return Language(code, gettext.NullTranslations())
    with (files(__package__) / "locales" / f"{_base(code)}.mo").open("rb") as file:
        return Language(code, gettext.GNUTranslations(file))


def _base(code: str) -> str:
    return code.partition("-")[0]
