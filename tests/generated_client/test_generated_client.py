"""Clients that openapi-python-client generates from a running service, used against it (`make test-client`)."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.system.programs import BIN, INTAKE, Service, clean_environment

CLIENT_BIN = BIN.parent / "client/bin"  # an environment of its own
GENERATOR = CLIENT_BIN / "openapi-python-client"
PROGRAM = Path(__file__).parent / "program.py"
PASSWORD = "correct horse battery"
DOCUMENTS = {"generated_public": "/openapi.json", "generated_internal": "/internal/openapi.json"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    environment = clean_environment(tmp_path)
    with Service(environment, tmp_path) as started:
        create = [INTAKE, "create-user", "grace", "--password-stdin"]
        subprocess.run(create, input=PASSWORD.encode(), env=environment, cwd=tmp_path, check=True)
        yield started


def generate(url: str, directory: Path) -> None:
    """Generate both clients; a part of a document that the generator omits is an error."""
    if not GENERATOR.exists():
        pytest.exit("openapi-python-client is not installed; run: make test-client", returncode=1)
    path = f"{CLIENT_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"  # it formats with its own ruff
    for name, document in DOCUMENTS.items():
        (directory / f"{name}.json").write_bytes(httpx2.get(f"{url}{document}").content)
        command = [str(GENERATOR), "generate", "--path", f"{name}.json", "--output-path", name]
        done = subprocess.run(
            [*command, "--meta", "none", "--fail-on-warning"],
            env=clean_environment(directory, PATH=path),
            cwd=directory,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_generated_clients_submit_list_and_download(service: Service, tmp_path: Path) -> None:
    generate(service.url, tmp_path)
    done = subprocess.run(
        [str(CLIENT_BIN / "python"), str(PROGRAM), service.url, "grace", PASSWORD],
        env=clean_environment(tmp_path, PYTHONPATH=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "submitted": [204, 422, "required"],
        "lead": {"email": "ada@example.com", "CV_name": "cv.pdf", "state": "PENDING"},
        "cv": "%PDF-1.4 a CV",
        "part": [206, "%PDF"],
        "changed": 204,
        "undone": "undone",
        "export": "PK",
    }
