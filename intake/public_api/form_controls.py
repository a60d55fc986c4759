"""Controls of the form: the standard fields and those of the firm, with a sender's values and errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from intake.form.definition import PRIVACY_FIELD, SHA256, Consent, FormDefinition, FormField
from intake.form.values import FieldType
from intake.public_api.languages import Language
from intake.public_api.messages import FILE, LABELS

CHECKBOX = "checkbox"
_KINDS = {FieldType.PHONE: "tel"}  # types of inputs, if they have another name


@dataclass(frozen=True)
class Control:
    """One control: `kind` is the type of an input, or `select`, `long_text` or `file`."""

    name: str
    kind: str
    label: str
    hint: str = ""
    is_required: bool = True
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
    """The controls of the form in their order on the page: the sender's details, and checkboxes below them."""

    inputs: Sequence[Control]
    acknowledgements: Sequence[Control]  # of the privacy notice, if the firm has one
    consents: Sequence[Control]

    @classmethod
    def of(cls, definition: FormDefinition, language: Language, *, cv_hint: str) -> "Controls":
        """Return the empty controls of a form in a language."""
        return cls(
            (
                *_standard(language),
                *(_defined(field, language.code) for field in definition.fields),
                _cv(language, cv_hint),
            ),
            [_acknowledgement(definition, language)] if definition.privacy_url else [],
            [_consent(one, language) for one in definition.consents],
        )

    def filled(self, values: Mapping[str, str], errors: Mapping[str, str]) -> "Controls":
        """Return the controls as a sender filled them in."""
        groups = (self.inputs, self.acknowledgements, self.consents)
        return Controls(*([one.filled(values, errors) for one in group] for group in groups))

    def by_name(self) -> Mapping[str, Control]:
        """Return all controls by their names, in their order on the page."""
        return {one.name: one for one in (*self.inputs, *self.acknowledgements, *self.consents)}


def _standard(language: Language) -> Iterator[Control]:
    one_name = language.gettext("If you have only one name, enter a full stop here.")
    for name, kind, autocomplete, hint in (
        ("f_name", "text", "given-name", ""),
        ("l_name", "text", "family-name", one_name),
        ("email", "email", "email", ""),
    ):
        yield Control(name, kind, language.gettext(LABELS[name]), hint, autocomplete=autocomplete)


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
        autocomplete="tel" if field.type is FieldType.PHONE else "",
        options=tuple((option.value, option.label[code]) for option in field.options),
    )
