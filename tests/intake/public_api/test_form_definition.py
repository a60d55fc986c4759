"""The hosted form with the firm's own fields, texts, appearance and templates."""

import html
from collections.abc import Callable
from pathlib import Path

import pytest

from intake.errors import TemplateInvalid
from tests.conftest import Intake
from tests.intake.public_api.forms import LOCAL, control, page, send, tags

DEFINITION = """
name = "Marple & Wimsey"
palette = "green"
privacy_url = "https://firm.example/privacy"
[texts.en]
introduction = "First paragraph.\\n\\nSecond <b>paragraph</b>."
no_relationship = "No relationship."
no_confidential = "Nothing confidential."
privacy = "Your details."
[[fields]]
key = "matter"
type = "select"
required = true
label = {en = "What is it about?"}
help = {en = "Not the case."}
options = [{value = "work", label = {en = "Work"}}, {value = "home", label = {en = "Home"}}]
[[fields]]
key = "others"
type = "long_text"
label = {en = "Others"}
[[fields]]
key = "phone"
type = "phone"
label = {en = "Telephone"}
[[fields]]
key = "since"
type = "date"
label = {en = "Since"}
[[fields]]
key = "action"
type = "checkbox"
label = {en = "A hearing is scheduled."}
[[consents]]
key = "newsletter"
label = {en = "Newsletter"}
"""


@pytest.fixture
def firm(start: Callable[..., Intake], tmp_path: Path) -> Intake:
    (tmp_path / "form.toml").write_text(DEFINITION)
    return start(form=tmp_path / "form.toml", host="0.0.0.0")


def test_it_is_served_to_everyone_with_the_legal_texts_above_the_fields(firm: Intake) -> None:
    text = page(firm, Host="intake.example.com")
    places = [
        text.index(part)
        for part in (
            "<p>First paragraph.</p>",
            "<p>Second &lt;b&gt;paragraph&lt;/b&gt;.</p>",
            "<p>No relationship.</p>",
            "<p>Nothing confidential.</p>",
            "<p>Your details.</p>",
            'href="https://firm.example/privacy"',
            'name="f_name"',
        )
    ]
    assert places == sorted(places)
    assert "<title>Send us your details – Marple &amp; Wimsey</title>" in text


def test_it_has_the_controls_of_each_type(firm: Intake) -> None:
    text = page(firm)
    assert "required" in control(text, "matter")
    assert control(text, "matter")["aria-describedby"] == "matter-hint"
    assert [tag["value"] for tag in tags(text, "option")] == ["", "work", "home"]
    assert control(text, "phone")["type"] == "tel"
    assert control(text, "since")["type"] == "date"
    assert control(text, "action")["type"] == "checkbox"
    assert "Others (optional)" in text
    for name in ("newsletter", "privacy", "action"):
        assert "checked" not in control(text, name)
    assert "required" not in control(text, "newsletter")
    assert "required" in control(text, "privacy")
    assert text.index('name="privacy"') < text.index("<legend>Optional</legend>") < text.index('name="newsletter"')


def test_the_descriptions_have_its_fields_and_consents(firm: Intake) -> None:
    for path in ("/openapi.json", "/internal/openapi.json"):
        content = firm.client.get(path).json()["paths"]["/leads/"]["post"]["requestBody"]["content"]
        form = content["multipart/form-data"]["schema"]
        assert form["required"] == ["email", "f_name", "l_name", "CV", "matter"]
        assert form["properties"]["matter"] == {
            "type": "string",
            "description": "What is it about?",
            "enum": ["work", "home"],
            "examples": ["work"],
        }
        assert form["properties"]["action"]["enum"] == ["on", "true", "yes", "off", "false", "no"]
        assert form["properties"]["others"]["maxLength"] == 5000
        assert form["properties"]["since"]["format"] == "date"
        assert form["properties"]["newsletter"]["description"].endswith("the label that was shown. Newsletter")
    example = content["multipart/form-data"]["example"]
    del example["CV"]
    assert firm.submit(**example).status_code == 204
    assert f"-F matter=work -F 'others={example['others']}'" in html.unescape(firm.client.get("/docs").text)


def test_its_palette_is_in_light_and_dark_mode(firm: Intake) -> None:
    text = page(firm)
    assert "--accent: #1b6b43" in text
    assert "--accent: #86d9ab" in text


def test_values_are_shown_again_after_an_error(firm: Intake) -> None:
    values = {"matter": "home", "others": '"</textarea><b>', "phone": "020 7946", "since": "2026-01-02"}
    text = send(firm, f_name="", **values, action="yes", newsletter="yes", privacy="yes").text
    assert '<option value="home" selected>' in text
    assert "\n&#34;&lt;/textarea&gt;&lt;b&gt;</textarea>" in text
    assert (control(text, "phone")["value"], control(text, "since")["value"]) == ("020 7946", "2026-01-02")
    for name in ("action", "newsletter", "privacy"):
        assert "checked" in control(text, name)


def test_a_text_that_is_too_long_is_shown_again(firm: Intake) -> None:
    text = send(firm, others="x" * 5001, privacy="yes").text
    assert '<a href="#others">Others: Use at most 5000 characters.</a>' in text
    assert "x" * 5001 in text


def test_templates_of_the_firm_replace_those_of_the_service(start: Callable[..., Intake], tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    own = tmp_path / "own/layout.html.jinja"
    own.write_text(
        "<!doctype html><html><title>{% block title %}{% endblock %}</title><style>p { color: red }</style>"
        "<body>Own layout {% block content %}{% endblock %}"
    )
    (tmp_path / "form.toml").write_text('templates = "own"')
    intake = start(form=tmp_path / "form.toml")
    answer = intake.client.get("/", headers=LOCAL)
    assert "Own layout" in answer.text
    assert control(answer.text, "f_name")
    assert answer.headers["Content-Security-Policy"].count("'sha256-") == 1


@pytest.mark.parametrize(
    ("name", "template", "text"),
    [
        ("form.html", "{{ 1 / 0 }}", r"form.html.jinja, line 1 can't be rendered: division by zero; correct it"),
        (
            "style.css",
            "\n{{ nope.x }}",
            "own/style.css.jinja, line 2 can't be rendered: 'nope' is undefined; correct it",
        ),
        ("layout.html", "a\n\n{% if %}", "own/layout.html.jinja, line 3 can't be rendered"),
        (
            "thanks.html",
            "{% include 'x' %}",
            "own/thanks.html.jinja, line 1 can't be rendered: there is no template x;",
        ),
        ("form.html", "{{ ''.__class__.__mro__ }}", "unsafe;"),
        ("style.css", "\udcff", "the template style.css.jinja is not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_template_that_fails_is_refused_at_the_start(
    start: Callable[..., Intake], tmp_path: Path, name: str, template: str, text: str
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / f"own/{name}.jinja").write_bytes(template.encode("utf-8", "surrogateescape"))
    (tmp_path / "form.toml").write_text('templates = "own"')
    with pytest.raises(TemplateInvalid, match=text):
        start(form=tmp_path / "form.toml")


def test_a_template_that_others_can_write_is_refused(start: Callable[..., Intake], tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/form.html.jinja").write_text("x")
    (tmp_path / "own/form.html.jinja").chmod(0o666)
    (tmp_path / "form.toml").write_text('templates = "own"')
    with pytest.raises(TemplateInvalid, match="can be written by other users"):
        start(form=tmp_path / "form.toml")
