"""The definition of the form, and its errors."""

from pathlib import Path

import pytest

from intake.errors import SettingsInvalid
from intake.form.definition import FormDefinition, load_definition

WHOLE = """
name = "Example Law"
default_language = "en"
languages = ["en", "de"]
palette = "blue"
logo = "logo.svg"
privacy_url = "https://firm.example/privacy"
privacy_version = "2026-11"
templates = "pages"

[texts.en]
introduction = "Tell us about your matter."
no_relationship = "Sending this form does not make you our client."
no_confidential = "Send nothing confidential yet."
privacy = "We store what you send."

[texts.de]
privacy = "Wir speichern, was Sie senden."

[[fields]]
key = "matter"
type = "select"
required = true
label = {en = "Matter", de = "Anliegen"}
options = [
    {value = "family", label = {en = "Family", de = "Familie"}},
    {value = "tax", label = {en = "Tax", de = "Steuern"}},
]

[[fields]]
key = "parties"
type = "long_text"
conflict = true
label = {en = "Others involved", de = "Andere Beteiligte"}
help = {en = "People and companies.", de = "Personen und Firmen."}

[[consents]]
key = "newsletter"
label = {en = "Send me news", de = "Senden Sie mir Neuigkeiten"}
"""
FIELD = '[[fields]]\nkey = "k"\ntype = "text"\nlabel = {en = "K"}\n'


def loaded(directory: Path, text: str) -> FormDefinition:
    (directory / "form.toml").write_text(text, encoding="utf-8")
    return load_definition(directory / "form.toml")


def faults(directory: Path, text: str) -> list[str]:
    """Return the faults without the name of the file, which each of them begins with."""
    with pytest.raises(SettingsInvalid) as refused:
        loaded(directory, text)
    start = f"INTAKE_FORM: {directory / 'form.toml'}: "
    assert all(line.startswith(start) for line in str(refused.value).splitlines())
    return [line.removeprefix(start) for line in str(refused.value).splitlines()]


def test_a_whole_definition(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    (tmp_path / "pages").mkdir()
    form = loaded(tmp_path, WHOLE)
    assert (form.name, form.languages, form.palette) == ("Example Law", ("en", "de"), "blue")
    assert [(field.key, field.required, field.conflict) for field in form.fields] == [
        ("matter", True, False),
        ("parties", False, True),
    ]
    assert [option.label["de"] for option in form.fields[0].options] == ["Familie", "Steuern"]
    assert form.consents[0].label["en"] == "Send me news"
    assert form.templates == tmp_path / "pages"
    assert form.read_logo() == ("image/svg+xml", b"<svg/>")
    assert form.has_legal_texts


def test_texts_without_a_translation_are_in_the_default_language(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    (tmp_path / "pages").mkdir()
    form = loaded(tmp_path, WHOLE)
    assert form.text("privacy", "de") == ("Wir speichern, was Sie senden.", "de")
    assert form.text("no_confidential", "de") == ("Send nothing confidential yet.", "en")
    assert form.text("no_confidential", "fr") == ("Send nothing confidential yet.", "en")
    assert (form.language("de"), form.language("fr"), form.language(None)) == ("de", "en", "en")
    assert form.privacy_sha256("de") != form.privacy_sha256("en")


def test_without_a_file_the_form_has_the_standard_fields() -> None:
    form = load_definition(None)
    assert (form.fields, form.consents, form.has_legal_texts) == ((), (), False)
    assert (form.text("privacy", "en"), form.read_logo()) == (("", "en"), None)


def test_a_fields_version_changes_with_its_question_only(tmp_path: Path) -> None:
    version = loaded(tmp_path, FIELD).fields[0].version
    assert loaded(tmp_path, FIELD + "required = true\n").fields[0].version == version
    assert loaded(tmp_path, FIELD.replace('"K"', '"Other"')).fields[0].version != version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colour = 1", "colour: unknown key; correct or remove it"),
        ("[texts.en]\nfoo = 1", "texts.en.foo: unknown key; correct or remove it"),
        (FIELD + "foo = 1", "fields #1.foo: unknown key; correct or remove it"),
        (FIELD.replace('label = {en = "K"}\n', ""), "fields #1.label: is missing; add it"),
        (FIELD.replace('"K"', "5"), "fields #1.label.en: must be text; put it in quotes"),
        (
            FIELD.replace('{en = "K"}', '"K"'),
            'fields #1.label: must have a text for each language, such as {en = "Telephone"}',
        ),
        (FIELD.replace('"K"', '" "'), "fields #1.label.en: must be one line of visible text; correct it"),
        (FIELD.replace('"K"', '"a\\nb"'), "fields #1.label.en: must be one line of visible text; correct it"),
        (FIELD.replace('"k"', '"email"'), "fields #1.key: 'email' is reserved; choose another key"),
        (
            FIELD.replace('"k"', '"K"'),
            "fields #1.key: 'K' is not valid; use at most 32 lower-case letters, digits and _, beginning with a letter",
        ),
        (
            FIELD.replace('"text"', '"number"'),
            "fields #1.type: must be 'text', 'long_text', 'select', 'checkbox', 'phone' or 'date'; correct it",
        ),
        (FIELD + "required = 1", "fields #1.required: must be true or false, without quotes"),
        (FIELD * 11, "fields: has more than 10 entries; remove some"),
        (FIELD * 2, "key 'k' is given 2 times; rename all but one"),
        (
            FIELD + '[[consents]]\nkey = "k"\nlabel = {en = "K"}',
            "key 'k' is given 2 times; rename all but one",
        ),
        ('languages = ["en", "de"]\n' + FIELD, "field 'k': label is missing in de; add it"),
        (
            'languages = ["en", "de"]\n[[consents]]\nkey = "k"\nlabel = {en = "K"}',
            "consent 'k': label is missing in de; add it",
        ),
        (
            FIELD.replace('"text"', '"select"'),
            "field 'k': options: give some to a select, and none to another type",
        ),
        (
            FIELD.replace('"text"', '"select"') + 'options = [{value = "a", label = {en = "A"}}, '
            '{value = "a", label = {en = "B"}}]',
            "field 'k': option 'a' is given 2 times; remove all but one",
        ),
        ('default_language = "de"', "default_language: add 'de' to languages"),
        ("[texts.de]", "texts.de: add 'de' to languages, or remove these texts"),
        (
            'palette = "pink"',
            "palette: must be one of slate, blue, green, burgundy, violet; choose one of them",
        ),
        ('privacy_url = "javascript:alert(1)"', "privacy_url: must be an http or https URL; correct it"),
        ("privacy_version = 2026-11-01", "privacy_version: must be text; put it in quotes"),
        (FIELD.replace("[[fields]]", "[fields]"), "fields: write [[fields]] above the keys of each field"),
        ('fields = ["k"]', "fields #1: write [[fields]] above the keys of each field"),
        ('[consents]\nkey = "k"', "consents: write [[consents]] above the keys of each consent"),
        ('languages = "en"', 'languages: write a list, such as ["en", "de"]'),
        ("languages = []", "languages: is empty; add an entry"),
        ('languages = ["en", "en"]', "languages: 'en' is given 2 times; remove all but one"),
        ('languages = ["en", "pl"]', "languages #2: no texts in pl; choose from en, de, es, fr, ar"),
        ('default_language = "English"', "default_language: must be the code of a language, such as en"),
        ('[[texts]]\nprivacy = "x"', "texts: write [texts.en] above the texts in that language"),
        ('[texts]\nen = "x"', "texts.en: write [texts.en] above the texts in that language"),
        (
            FIELD.replace('"text"', '"select"') + 'options = ["a"]',
            'fields #1.options #1: write a list, such as [{value = "work", label = {en = "Work"}}]',
        ),
        (
            '[texts.en]\nlanguages = ["en"]',
            "texts.en.languages: write this key above the first line that begins with [",
        ),
    ],
)
def test_invalid_definitions(tmp_path: Path, text: str, expected: str) -> None:
    assert faults(tmp_path, text) == [expected]


def test_every_fault_is_listed(tmp_path: Path) -> None:
    assert len(faults(tmp_path, FIELD + "foo = 1\nbar = 2\n")) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("key = ", " can't be read: .*Invalid value"),
        ("a = 1\na = 2", " can't be read: .*Cannot overwrite"),
        ("a = 1\nb = '\udcff'", ": line 2 is not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_file_that_is_not_toml(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "form.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsInvalid, match=f"{file}{reason}"):
        load_definition(file)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "form.toml").write_text('name = "Example Law"\r\npalette = "blue"', encoding="utf-8-sig", newline="")
    assert load_definition(tmp_path / "form.toml").name == "Example Law"


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "form.toml"
    file.write_text("")
    file.chmod(0o666)
    with pytest.raises(SettingsInvalid, match=f"INTAKE_FORM: {file} can be written by other users: chmod go-w"):
        load_definition(file)


def test_the_logo_and_the_templates_are_checked(tmp_path: Path) -> None:
    text = 'logo = "logo.bmp"\ntemplates = "pages"\n'
    assert faults(tmp_path, text) == [
        f"logo: {tmp_path / 'logo.bmp'} is not a file; correct the path",
        f"templates: {tmp_path / 'pages'} is not a directory; correct the path",
        "logo: the name must end in .svg, .png, .jpg, .jpeg; convert the image",
    ]
    (tmp_path / "pages").mkdir()
    (tmp_path / "logo.png").write_bytes(bytes(2**18 + 1))
    (tmp_path / "logo.png").chmod(0o646)
    assert faults(tmp_path, text.replace("bmp", "png")) == [
        f"logo: {tmp_path / 'logo.png'} can be written by other users: chmod go-w {tmp_path / 'logo.png'}",
        f"logo: {tmp_path / 'logo.png'} has more than 256 KiB; use a smaller image",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("logo.png", b"\x89PNG\r\n\x1a\n..."),
        ("logo.JPG", b"\xff\xd8\xff\xe0..."),
        ("logo.svg", b'<?xml version="1.0"?>\n<!-- a logo -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ],
)
def test_the_content_of_a_logo_is_of_its_type(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert loaded(tmp_path, f'logo = "{name}"').read_logo()
    (tmp_path / name).write_bytes(b"a text")
    [fault] = faults(tmp_path, f'logo = "{name}"')
    assert fault.startswith(f"logo: the content of {tmp_path / name} is not image/")
