"""Workers as the application builds them."""

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from intake.app import create_app
from intake.errors import TemplateInvalid
from tests.conftest import Intake


def test_a_service_without_workers_renders_no_templates(intake: Intake, tmp_path: Path) -> None:
    (tmp_path / "alert.txt.jinja").write_text("{{")
    settings = replace(intake.settings, mail_templates=tmp_path)
    with TestClient(create_app(settings, with_worker=False)) as client:
        assert client.get("/healthz").status_code == 200
    with pytest.raises(TemplateInvalid):
        create_app(settings, with_worker=True)
