"""Answers of a submission beyond the standard fields: values, consents, language and signs of spam."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from intake.errors import FieldError, InvalidValue
from intake.form.definition import LANGUAGE_FIELD, PRIVACY_FIELD, SHA256, TIMESTAMP_FIELD, Consent, FormDefinition
from intake.form.timestamps import FormKey
from intake.form.values import is_blank, is_ticked

MIN_AGE_S = 3.0  # of a form; nobody fills one in faster
HONEYPOT, TOO_FAST = "honeypot", "too_fast"
FORM_ONLY = "form_only"  # the code of the error

T = TypeVar("T")


@dataclass(frozen=True)
class FieldValue:
    """The value of a field that the firm defines, and the version of the field."""

    key: str
    value: str
    version: str


@dataclass(frozen=True)
class GivenConsent:
    """A consent, or the acknowledgement of the privacy notice: the hash, version and language of the text shown."""

    key: str
    text_sha256: str
    version: str | None
    language: str


@dataclass(frozen=True)
class Answers:
    """The answers of one submission; `suspect` is its sign of spam, if there is one."""

    fields: tuple[FieldValue, ...] = ()
    consents: tuple[GivenConsent, ...] = ()
    language: str | None = None
    suspect: str | None = None

    @property
    def content(self) -> list[str]:
        """The values and consents as texts, for comparisons; empty if nothing was sent."""
        values = [f"{one.key}={one.value}" for one in self.fields]
        return values + [f"{one.key}=yes" for one in self.consents]


NO_ANSWERS = Answers()


class AnswerReader:
    """Reads the answers of submissions; `form_only` refuses those that do not come from the hosted form."""

    def __init__(self, form: FormDefinition, key: FormKey, *, form_only: bool = False) -> None:
        self._form, self._key, self._form_only = form, key, form_only
        self._honeypot = key.honeypot
        self.fields = tuple(field.key for field in form.fields)
        consents = [consent.key for consent in form.consents]
        self.names = (*self.fields, *consents, PRIVACY_FIELD, LANGUAGE_FIELD, TIMESTAMP_FIELD, self._honeypot)

    def read(self, texts: Mapping[str, str]) -> tuple[Answers, list[FieldError]]:
        """Return the answers and all errors in the fields of a form."""
        check, language = _Check(texts), self._form.language(texts.get(LANGUAGE_FIELD))
        answers = Answers(
            fields=tuple(self._fields(check)),
            consents=tuple(self._consents(check, language)),
            language=language if texts.get(LANGUAGE_FIELD) == language else None,
            suspect=self._suspect(texts),
        )
        check(TIMESTAMP_FIELD, lambda _: self._check_origin(texts))
        return answers, check.faults

    def _fields(self, check: "_Check") -> Iterator[FieldValue]:
        for field in self._form.fields:
            if value := check(field.key, field.parse):
                yield FieldValue(field.key, value, field.version)

    def _consents(self, check: "_Check", language: str) -> Iterator[GivenConsent]:
        for one in self._form.consents:
            if consent := check(one.key, lambda text, one=one: self._consent(one, text, language)):  # type: ignore[misc]
                yield consent
        if privacy := check(PRIVACY_FIELD, lambda text: self._privacy(text, language, check.texts)):
            yield privacy

    def _consent(self, consent: Consent, text: str, language: str) -> GivenConsent | None:
        current = consent.sha256(language)
        shown = _shown(text, current)
        return self._given(consent.key, shown, current, language) if shown else None

    def _privacy(self, text: str, language: str, texts: Mapping[str, str]) -> GivenConsent | None:
        """Return the acknowledgement, which the hosted form requires."""
        if not self._form.privacy_url:
            return None
        current = self._form.privacy_sha256(language)
        if (shown := _shown(text, current)) is None:
            if TIMESTAMP_FIELD in texts:
                raise InvalidValue("is required", "required")
            return None
        return self._given(PRIVACY_FIELD, shown, current, self._form.text("privacy", language).language)

    def _given(self, key: str, shown: str, current: str, language: str) -> GivenConsent:
        # an old page may show an older text
        return GivenConsent(key, shown, self._form.privacy_version if shown == current else None, language)

    def _check_origin(self, texts: Mapping[str, str]) -> None:
        is_signed = self._key.age_s(texts.get(TIMESTAMP_FIELD, "")) is not None
        if self._form_only and not (is_signed and self._honeypot in texts):
            raise InvalidValue("was not sent by this service's form; open the form and send it there", FORM_ONLY)

    def _suspect(self, texts: Mapping[str, str]) -> str | None:
        if not is_blank(texts.get(self._honeypot, "")):
            return HONEYPOT
        age_s = self._key.age_s(texts.get(TIMESTAMP_FIELD, ""))
        return TOO_FAST if age_s is not None and 0 <= age_s < MIN_AGE_S else None


def _shown(text: str, current: str) -> str | None:
    """Return the hash of the text that was shown: the value itself, or that of the current text if it is ticked."""
    return text.strip() if SHA256.fullmatch(text.strip()) else current if is_ticked(text) else None


class _Check:
    """Applies rules to the fields of a form, and collects the errors."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts, self.faults = texts, list[FieldError]()

    def __call__(self, name: str, rule: Callable[[str], T]) -> T | None:
        try:
            return rule(self.texts.get(name, ""))
        except ValueError as error:
            self.faults.append(FieldError.of(name, error))
            return None
