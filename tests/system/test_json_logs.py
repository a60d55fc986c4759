"""`INTAKE_LOG=json` with real programs: every line of the log is an object, without personal data."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import SECRET
from tests.system.programs import Service, clean_environment

WITHIN_S = 60


def environment(directory: Path, **settings: str) -> dict[str, str]:
    changes = {"INTAKE_LOG": "json", "INTAKE_JWT_SECRET": SECRET, "INTAKE_ATTORNEY_EMAILS": "harriet@firm.example"}
    return clean_environment(directory, **changes, **settings)


def submit(service: Service) -> None:
    form = {"email": "prospect@secret.example", "f_name": "Confidential", "l_name": "Confidential"}
    answer = httpx2.post(
        f"{service.url}/leads/?who=Confidential", data=form, files={"CV": ("Confidential.pdf", b"%PDF-")}
    )
    assert answer.status_code == 204


def wait_for(service: Service, text: str) -> None:
    ends_at = time.monotonic() + WITHIN_S
    while not any(text in line for line in service.log):
        assert time.monotonic() < ends_at, "".join(service.log)
        time.sleep(0.05)


def entries(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Return the objects of a log, each of which has the members of every record."""
    found = [json.loads(line) for line in lines]
    assert all({"time", "level", "logger", "message"} <= entry.keys() for entry in found)
    assert not [line for line in lines if "onfidential" in line or "secret.example" in line]
    return found


@pytest.mark.parametrize("flags", [(), ("--processes", "2")])
def test_every_line_of_a_service_is_an_object(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with Service(environment(tmp_path), tmp_path, "serve", *flags) as service:
        submit(service)
        httpx2.get(f"{service.url}/nowhere?q=Confidential")
        wait_for(service, "alert for lead 1) sent")
        service.stop()
    found = entries(service.log)
    access = [entry for entry in found if entry["logger"] == "intake.access"]
    [submission] = [entry for entry in access if entry["method"] == "POST"]
    assert (submission["path"], submission["status"]) == ("/leads/", 204)
    assert submission["milliseconds"] > 0
    assert len(submission["request_id"]) == 16
    assert [entry["status"] for entry in access if entry["path"] == "/nowhere"] == [404]
    assert "uvicorn.error" in {entry["logger"] for entry in found}


def test_every_line_of_a_worker_is_an_object(tmp_path: Path) -> None:
    with Service(environment(tmp_path), tmp_path, "serve", "--no-worker") as service:
        submit(service)
        with Service(environment(tmp_path, INTAKE_METRICS_PORT="0"), tmp_path, "worker") as worker:
            wait_for(worker, "alert for lead 1) sent")
            worker.stop()
    assert {"intake", "intake.workers.mail"} <= {entry["logger"] for entry in entries(worker.log)}


def test_a_failed_start_is_an_object_and_other_commands_print_text(tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        made = subprocess.run(
            [sys.executable, "-m", "intake", *arguments],
            env=environment(tmp_path, INTAKE_PORT="70000"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
        )
        assert (made.returncode, made.stdout) == (1, "")
        return made.stderr

    [entry] = entries(run("serve").splitlines())
    expected = "INTAKE_PORT is '70000'; expected a TCP port from 0 (any free port) to 65535"
    assert (entry["level"], entry["message"]) == ("CRITICAL", expected)
    assert run("create-user", "ada", "--password-stdin") == f"intake: {expected}\n"
