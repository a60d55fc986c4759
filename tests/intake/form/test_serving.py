"""Where the form is served, and the checks of its definition."""

from pathlib import Path

import pytest

from intake.form.definition import FormDefinition, load_definition
from intake.form.serving import describe, run_checks
from intake.settings import Settings

LEGAL = (
    'privacy_url = "https://firm.example/privacy"\n'
    '[texts.en]\nno_relationship = "a"\nno_confidential = "b"\nprivacy = "c"\n'
)
FREE_TEXT = '[[fields]]\nkey = "story"\ntype = "long_text"\nlabel = {en = "Story"}\n'


def defined(directory: Path, text: str) -> FormDefinition:
    (directory / "form.toml").write_text(text)
    return load_definition(directory / "form.toml")


def test_a_complete_form_has_no_findings(tmp_path: Path) -> None:
    settings, form = Settings(form=tmp_path / "form.toml", host="0.0.0.0"), defined(tmp_path, LEGAL)
    assert list(run_checks(settings, form)) == []
    assert describe(settings, form) == "the form is at /"


@pytest.mark.parametrize(("host", "place"), [("127.0.0.1", "this machine"), ("0.0.0.0", "nobody")])
def test_missing_legal_texts_are_found(tmp_path: Path, host: str, place: str) -> None:
    settings, form = Settings(form=tmp_path / "form.toml", host=host), defined(tmp_path, 'name = "A firm"')
    [line] = run_checks(settings, form)
    assert f"so the form is served to {place} only" in line
    assert ("not served" in describe(settings, form)) == (place == "nobody")


def test_free_text_fields_are_found(tmp_path: Path) -> None:
    [line] = run_checks(Settings(form=tmp_path / "form.toml"), defined(tmp_path, LEGAL + FREE_TEXT))
    assert line.startswith("INTAKE_FORM has the free-text field 'story'")


def test_a_service_without_a_definition_has_no_findings() -> None:
    assert list(run_checks(Settings(host="0.0.0.0"), load_definition(None))) == []
    assert "to this machine only" in describe(Settings(), load_definition(None))
