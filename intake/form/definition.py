"""The definition of the form, read from the TOML file of INTAKE_FORM."""

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails, PydanticCustomError

from intake.errors import InvalidValue, SettingsInvalid
from intake.form.palettes import DEFAULT_PALETTE, PALETTES
from intake.form.values import SCHEMAS, TICKS, FieldType, is_blank, parse_value
from intake.settings.parsers import website
from intake.settings.trusted_files import ownership_fault

MAX_FIELDS = 10
MAX_CONSENTS = 5
MAX_OPTIONS = 100
MAX_LOGO_BYTES = 256 * 2**10
LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
LOGO_CONTENTS = {"image/svg+xml": b"<svg", "image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
# languages in which the service has its own texts
LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch", "es": "Español", "fr": "Français", "ar": "العربية"}
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
    "path_type": "must be text; put it in quotes",
    "bool_type": "must be true or false, without quotes",
    "dict_type": 'must have a text for each language, such as {en = "Telephone"}',
    "too_short": "is empty; add an entry",
    "string_pattern_mismatch": "must be the code of a language, such as en",
}
# how to write the parts of a file; by the name of the part, for values that are not written so
_NOTATION = {
    "fields": "write [[fields]] above the keys of each field",
    "consents": "write [[consents]] above the keys of each consent",
    "languages": 'write a list, such as ["en", "de"]',
    "options": 'write a list, such as [{value = "work", label = {en = "Work"}}]',
    "texts": "write [texts.en] above the texts in that language",
}
_NOT_SO_WRITTEN = ("tuple_type", "dict_type", "model_type", "model_attributes_type")


def _line(text: str) -> str:
    if is_blank(text) or not text.isprintable():
        raise PydanticCustomError("line", "must be one line of visible text; correct it")
    return text


def _url(text: str) -> str:
    try:
        return website(text)
    except ValueError:
        raise PydanticCustomError("url", "must be an http or https URL; correct it") from None


def _language(code: str) -> str:
    if code.partition("-")[0] not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise PydanticCustomError("language", "no texts in {code}; choose from {known}", {"code": code, "known": known})
    return code


def _key(key: str) -> str:
    if not re.fullmatch("[a-z][a-z0-9_]{0,31}", key):
        detail = "use at most 32 lower-case letters, digits and _, beginning with a letter"
        raise PydanticCustomError("key", "'{key}' is not valid; {detail}", {"key": key, "detail": detail})
    if key in RESERVED:
        raise PydanticCustomError("reserved", "'{key}' is reserved; choose another key", {"key": key})
    return key


def _palette(name: str) -> str:
    if name not in PALETTES:
        raise PydanticCustomError("palette", f"must be one of {', '.join(PALETTES)}; choose one of them")
    return name


Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
Key = Annotated[str, AfterValidator(_key)]
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

    def value_schema(self, language: str) -> dict[str, Any]:
        """Return the JSON schema of the value in a form, with an example."""
        ticks = [text for text, is_ticked in TICKS.items() if is_ticked or not self.required]
        choices = ticks if self.type is FieldType.CHECKBOX else [option.value for option in self.options]
        limits = SCHEMAS.get(self.type, {"enum": choices, "examples": choices[:1]})
        return {"type": "string", "description": self.label[language], **limits}

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
    languages: Annotated[tuple[Annotated[Language, AfterValidator(_language)], ...], Field(min_length=1)] = ("en",)
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
        given = tomllib.loads(path.read_bytes().decode("utf-8-sig"))  # Windows editors write a byte order mark
        definition = FormDefinition.model_validate(given, context=path.parent.absolute())
        faults = [f"INTAKE_FORM: {path}: {fault}" for fault in _faults(definition)]
    except PydanticError as error:
        faults = [f"INTAKE_FORM: {path}: {_described(fault)}" for fault in error.errors(include_url=False)]
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsInvalid([f"INTAKE_FORM: {path}: line {line} is not UTF-8; save the file as UTF-8"]) from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid([f"INTAKE_FORM: {path} can't be read: {error}; correct the file"]) from error
    if faults:
        raise SettingsInvalid(faults)
    return definition


def _described(fault: ErrorDetails) -> str:
    place = re.sub(r"\.(\d+)", lambda found: f" #{int(found[1]) + 1}", ".".join(map(str, fault["loc"])))
    if fault["type"] == "too_long":
        return f"{place}: has more than {fault['ctx']['max_length']} entries; remove some"
    return f"{place}: {_remedy(fault)}"


def _remedy(fault: ErrorDetails) -> str:
    *above, key = fault["loc"]
    part = above[-1] if above and fault["type"].startswith("model_") else key  # `options.0` is a part of `options`
    if fault["type"] in _NOT_SO_WRITTEN and (notation := _NOTATION.get(str(part))):
        return notation
    if fault["type"] == "extra_forbidden" and above and key in FormDefinition.model_fields:
        return "write this key above the first line that begins with ["
    return _REMEDIES.get(fault["type"]) or re.sub(r"^\w+ should (.*)", r"must \1; correct it", fault["msg"])


def _faults(definition: FormDefinition) -> Iterator[str]:
    """Yield what is wrong between parts that are valid alone."""
    if definition.default_language not in definition.languages:
        yield f"default_language: add '{definition.default_language}' to languages"
    for language in definition.texts.keys() - set(definition.languages):
        yield f"texts.{language}: add '{language}' to languages, or remove these texts"
    for code, count in Counter(definition.languages).items():
        if count > 1:
            yield f"languages: '{code}' is given {count} times; remove all but one"
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
        if (media_type := LOGO_TYPES.get(logo.suffix.lower())) is None:
            yield f"logo: the name must end in {', '.join(LOGO_TYPES)}; convert the image"
        elif logo.is_file() and logo.stat().st_size > MAX_LOGO_BYTES:
            yield f"logo: {logo} has more than {MAX_LOGO_BYTES // 2**10} KiB; use a smaller image"
        elif logo.is_file() and not _is_image(logo.read_bytes(), media_type):
            yield f"logo: the content of {logo} is not {media_type}; convert the image, or correct its name"


def _is_image(content: bytes, media_type: str) -> bool:
    mark = LOGO_CONTENTS[media_type]
    return mark in content if media_type == LOGO_TYPES[".svg"] else content.startswith(mark)  # XML may begin otherwise


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
