"""Controls of the form: the standard fields and those of the firm, with a sender's values and errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from intake.form.definition import PRIVACY_FIELD, SHA256, Consent, FormDefinition, FormField
from intake.form.values import MAX_LONG_TEXT_CHARACTERS, MAX_PHONE_CHARACTERS, MAX_TEXT_CHARACTERS, FieldType
from intake.public_api.languages import Language
from intake.public_api.messages import FILE, LABELS
from intake.request_models import MAX_EMAIL_CHARACTERS, MAX_NAME_CHARACTERS

CHECKBOX = "checkbox"
_KINDS = {FieldType.PHONE: "tel"}  # types of inputs, if they have another name
_MAX_CHARACTERS = {FieldType.LONG_TEXT: MAX_LONG_TEXT_CHARACTERS, FieldType.PHONE: MAX_PHONE_CHARACTERS}


@dataclass(frozen=True)
class Control:
    """One control: `kind` is the type of an input, or `select`, `long_text` or `file`."""

    name: str
    kind: str
    label: str
    hint: str = ""
    is_required: bool = True
    maxlength: int = MAX_TEXT_CHARACTERS
    autocomplete: str = ""
    options: tuple[tuple[str, str], ...] = ()
    tick: str = "yes"  # the value of a ticked checkbox
    value: str = ""
    error: str = ""
    must_choose_again: bool = False  # a file: browsers don't accept one from the server

    def filled(self, values: Mapping[str, str], errors: Mapping[str, str]) -> "Control":
        """Return the control as a sender filled it in."""
        value = values.get(self.name, "")
        if self.kind == FILE or (value != self.tick and SHA256.fullmatch(value)):  # another text was ticked
            value = ""
        is_lost = self.kind == FILE and self.name not in errors
        return replace(self, value=value, error=errors.get(self.name, ""), must_choose_again=is_lost)


@dataclass(frozen=True)
class Controls:
    """The controls of the form: the sender's details, and checkboxes below them."""

    inputs: Sequence[Control]
    consents: Sequence[Control]
    acknowledgements: Sequence[Control]  # of the privacy notice, if the firm has one

    @classmethod
    def of(cls, definition: FormDefinition, language: Language, *, cv_hint: str) -> "Controls":
        """Return the empty controls of a form in a language."""
        return cls(
            (
                *_standard(language),
                *(_defined(field, language.code) for field in definition.fields),
                _cv(language, cv_hint),
            ),
            [_consent(one, language) for one in definition.consents],
            [_acknowledgement(definition, language)] if definition.privacy_url else [],
        )

    def filled(self, values: Mapping[str, str], errors: Mapping[str, str]) -> "Controls":
        """Return the controls as a sender filled them in."""
        groups = (self.inputs, self.consents, self.acknowledgements)
        return Controls(*([one.filled(values, errors) for one in group] for group in groups))

    def by_name(self) -> Mapping[str, Control]:
        """Return all controls by their names, in their order on the page."""
        return {one.name: one for one in (*self.inputs, *self.consents, *self.acknowledgements)}


def _standard(language: Language) -> Iterator[Control]:
    one_name = language.gettext("If you have only one name, enter a full stop here.")
    for name, kind, autocomplete, most, hint in (
        ("f_name", "text", "given-name", MAX_NAME_CHARACTERS, ""),
        ("l_name", "text", "family-name", MAX_NAME_CHARACTERS, one_name),
        ("email", "email", "email", MAX_EMAIL_CHARACTERS, ""),
    ):
        yield Control(name, kind, language.gettext(LABELS[name]), hint, maxlength=most, autocomplete=autocomplete)


def _cv(language: Language, hint: str) -> Control:
    return Control("CV", FILE, language.gettext(LABELS["CV"]), hint)


def _consent(consent: Consent, language: Language) -> Control:
    """Return a consent to the text that the page shows, even if the text changes before the page is sent."""
    tick = consent.sha256(language.code)
    return Control(consent.key, CHECKBOX, consent.label[language.code], is_required=False, tick=tick)


def _acknowledgement(definition: FormDefinition, language: Language) -> Control:
    """Return the acknowledgement of the notice that the page shows, even if the notice changes before it is sent."""
    label = language.gettext("I have read the privacy notice.")
    return Control(PRIVACY_FIELD, CHECKBOX, label, tick=definition.privacy_sha256(language.code))


def _defined(field: FormField, code: str) -> Control:
    return Control(
        field.key,
        _KINDS.get(field.type, str(field.type)),
        field.label[code],
        field.help.get(code, ""),
        is_required=field.required,
        maxlength=_MAX_CHARACTERS.get(field.type, MAX_TEXT_CHARACTERS),
        autocomplete="tel" if field.type is FieldType.PHONE else "",
        options=tuple((option.value, option.label[code]) for option in field.options),
    )
