"""The firm's logo."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Intake
from tests.intake.public_api.forms import LOCAL, page, tags


@pytest.mark.parametrize(
    ("name", "media_type", "content"),
    [("logo.svg", "image/svg+xml", b"<svg/>"), ("logo.PNG", "image/png", b"\x89PNG\r\n\x1a\n")],
)
def test_it_is_served_without_scripts(
    start: Callable[..., Intake], tmp_path: Path, name: str, media_type: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "form.toml").write_text(f'name = "Marple & Wimsey"\nlogo = "{name}"')
    intake = start(form=tmp_path / "form.toml")
    answer = intake.client.get("/logo", headers=LOCAL)
    assert (answer.content, answer.headers["content-type"]) == (content, media_type)
    assert answer.headers["Content-Security-Policy"].endswith("sandbox")
    [image] = tags(page(intake), "img")
    assert (image["src"], image["alt"]) == ("/logo", "Marple & Wimsey")


def test_without_one_there_is_no_image(intake: Intake) -> None:
    assert intake.client.get("/logo", headers=LOCAL).status_code == 404
    assert tags(page(intake), "img") == []
