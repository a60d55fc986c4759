"""The definition of the form, read from the TOML file of INTAKE_FORM."""

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails, PydanticCustomError

from intake.errors import InvalidValue, SettingsInvalid
from intake.form.palettes import DEFAULT_PALETTE, PALETTES
from intake.form.values import FieldType, is_blank, parse_value
from intake.settings.parsers import website
from intake.settings.trusted_files import ownership_fault

MAX_FIELDS = 10
MAX_CONSENTS = 5
MAX_OPTIONS = 100
MAX_LOGO_BYTES = 256 * 2**10
LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
# fields of each form that are not shown as values: the page's language, the acknowledgement, the signed timestamp
LANGUAGE_FIELD, PRIVACY_FIELD, TIMESTAMP_FIELD = "language", "privacy", "timestamp"
RESERVED = (
    *("email", "f_name", "l_name", "cv", "cv_name", "id", "state", "created_at", "external_id", "idempotency_key"),
    *(LANGUAGE_FIELD, "lang", PRIVACY_FIELD, TIMESTAMP_FIELD, "suspect", "fields", "consents"),
)
SHA256 = re.compile("[0-9a-f]{64}")  # of a text that a page shows
_REMEDIES = {
    "extra_forbidden": "unknown key; correct or remove it",
    "missing": "is missing; add it",
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false, without quotes",
    "dict_type": 'must have a text for each language, such as {en = "Telephone"}',
}


def _line(text: str) -> str:
    if is_blank(text) or not text.isprintable():
        raise PydanticCustomError("line", "must be one line of visible text; correct it")
    return text


def _url(text: str) -> str:
    try:
        return website(text)
    except ValueError:
        raise PydanticCustomError("url", "must be an http or https URL; correct it") from None


def _unreserved(key: str) -> str:
    if key in RESERVED:
        raise PydanticCustomError("reserved", "'{key}' is reserved; choose another key", {"key": key})
    return key


def _palette(name: str) -> str:
    if name not in PALETTES:
        raise PydanticCustomError("palette", f"must be one of {', '.join(PALETTES)}; choose one of them")
    return name


Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$"), AfterValidator(_unreserved)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_line)]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000)]
Labels = Mapping[Language, Line]
PathBeside = Annotated[Path, AfterValidator(lambda path, info: info.context / path)]  # relative to the file


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Texts(_Part):
    """The firm's own texts in one language; empty if the firm wrote none."""

    introduction: LongText = ""
    no_relationship: LongText = ""
    no_confidential: LongText = ""
    privacy: LongText = ""


class Option(_Part):
    """An option of a select field."""

    value: Line
    label: Labels


class FormField(_Part):
    """A field that the firm defines."""

    key: Key
    type: FieldType
    label: Labels
    required: StrictBool = False
    conflict: StrictBool = False
    help: Labels = {}
    options: Annotated[tuple[Option, ...], Field(max_length=MAX_OPTIONS)] = ()

    @property
    def version(self) -> str:
        """The version of what the value answers: the type, labels and options."""
        return _digest(self.model_dump_json(include={"type", "label", "options"}))[:16]

    def parse(self, text: str) -> str | None:
        """Return the value to store, or None if nothing was entered. Raises InvalidValue."""
        value = parse_value(self.type, text, options=[option.value for option in self.options])
        if value is None and self.required:
            raise InvalidValue("is required", "required")
        return value


class Consent(_Part):
    """A consent that a prospect may give, for one purpose."""

    key: Key
    label: Labels

    def sha256(self, language: str) -> str:
        """Return the hash of the text that is shown in a language."""
        return _digest(self.label[language])


class Translation(NamedTuple):
    """A text of the firm, and the language that it is in."""

    text: str
    language: str


class Logo(NamedTuple):
    """The firm's logo."""

    media_type: str
    content: bytes


class FormDefinition(_Part):
    """The form: its fields, texts, languages and appearance."""

    name: Line | None = None
    default_language: Language = "en"
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("en",)
    palette: Annotated[str, AfterValidator(_palette)] = DEFAULT_PALETTE
    logo: PathBeside | None = None
    privacy_url: Annotated[str, AfterValidator(_url)] | None = None
    privacy_version: Line | None = None
    templates: PathBeside | None = None  # a directory of templates that replace ours
    texts: Mapping[Language, Texts] = {}
    fields: Annotated[tuple[FormField, ...], Field(max_length=MAX_FIELDS)] = ()
    consents: Annotated[tuple[Consent, ...], Field(max_length=MAX_CONSENTS)] = ()

    @property
    def has_legal_texts(self) -> bool:
        """Whether the firm wrote the legal texts in its default language, and named its privacy notice."""
        texts = self.texts.get(self.default_language, Texts())
        return bool(texts.no_relationship and texts.no_confidential and texts.privacy and self.privacy_url)

    def text(self, name: str, language: str) -> Translation:
        """Return a text of the firm in a language, or in the default one if there is no translation."""
        for candidate in (language, self.default_language):
            if found := getattr(self.texts.get(candidate, Texts()), name):
                return Translation(found, candidate)
        return Translation("", self.default_language)

    def language(self, wanted: str | None) -> str:
        """Return a language of the form: the wanted one, or the default."""
        return wanted if wanted in self.languages else self.default_language

    def privacy_sha256(self, language: str) -> str:
        """Return the hash of the privacy notice that is shown in a language: its text and its URL."""
        return _digest(json.dumps([self.text("privacy", language).text, self.privacy_url]))

    def read_logo(self) -> Logo | None:
        """Return the logo, if the firm has one."""
        return Logo(LOGO_TYPES[self.logo.suffix.lower()], self.logo.read_bytes()) if self.logo else None


def load_definition(path: Path | None) -> FormDefinition:
    """Return the form in a TOML file, or without one a form of the standard fields.

    Raises SettingsInvalid with one line for each error.
    """
    if path is None:
        return FormDefinition(languages=("en", "de"))
    try:
        if fault := ownership_fault(path):
            raise SettingsInvalid([f"INTAKE_FORM: {fault}"])
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        definition = FormDefinition.model_validate(given, context=path.parent.absolute())
        faults = [f"INTAKE_FORM: {path}: {fault}" for fault in _faults(definition)]
    except PydanticError as error:
        faults = [f"INTAKE_FORM: {path}: {_described(fault)}" for fault in error.errors(include_url=False)]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid([f"INTAKE_FORM: {path} can't be read: {error}; correct the file"]) from error
    if faults:
        raise SettingsInvalid(faults)
    return definition


def _described(fault: ErrorDetails) -> str:
    place = re.sub(r"\.(\d+)", lambda found: f" #{int(found[1]) + 1}", ".".join(map(str, fault["loc"])))
    if fault["type"] == "too_long":
        return f"{place}: has more than {fault['ctx']['max_length']} entries; remove some"
    detail = _REMEDIES.get(fault["type"]) or re.sub(r"^\w+ should (.*)", r"must \1; correct it", fault["msg"])
    return f"{place}: {detail}"


def _faults(definition: FormDefinition) -> Iterator[str]:
    """Yield what is wrong between parts that are valid alone."""
    if definition.default_language not in definition.languages:
        yield f"default_language: add '{definition.default_language}' to languages"
    for language in definition.texts.keys() - set(definition.languages):
        yield f"texts.{language}: add '{language}' to languages, or remove these texts"
    keys = Counter([*(field.key for field in definition.fields), *(consent.key for consent in definition.consents)])
    yield from (f"key '{key}' is given {count} times; rename all but one" for key, count in keys.items() if count > 1)
    for field in definition.fields:
        yield from _field_faults(field)
    for place, labels in _labels(definition):
        if missing := [language for language in definition.languages if language not in labels]:
            yield f"{place} is missing in {', '.join(missing)}; add it"
    yield from _path_faults(definition)


def _field_faults(field: FormField) -> Iterator[str]:
    if (field.type is FieldType.SELECT) != bool(field.options):
        yield f"field '{field.key}': options: give some to a select, and none to another type"
    values = Counter(option.value for option in field.options)
    for value, count in values.items():
        if count > 1:
            yield f"field '{field.key}': option '{value}' is given {count} times; remove all but one"


def _labels(definition: FormDefinition) -> Iterator[tuple[str, Labels]]:
    for field in definition.fields:
        yield f"field '{field.key}': label", field.label
        if field.help:
            yield f"field '{field.key}': help", field.help
        for option in field.options:
            yield f"field '{field.key}': option '{option.value}': label", option.label
    for consent in definition.consents:
        yield f"consent '{consent.key}': label", consent.label


def _path_faults(definition: FormDefinition) -> Iterator[str]:
    for key, path in (("logo", definition.logo), ("templates", definition.templates)):
        if path and not (path.is_dir() if key == "templates" else path.is_file()):
            yield f"{key}: {path} is not a {'directory' if key == 'templates' else 'file'}; correct the path"
        elif path and (fault := ownership_fault(path)):
            yield f"{key}: {fault}"
    if logo := definition.logo:
        if logo.suffix.lower() not in LOGO_TYPES:
            yield f"logo: the name must end in {', '.join(LOGO_TYPES)}; convert the image"
        if logo.is_file() and logo.stat().st_size > MAX_LOGO_BYTES:
            yield f"logo: {logo} has more than {MAX_LOGO_BYTES // 2**10} KiB; use a smaller image"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
