"""The form of a real service: its address in the log, and in `intake check`."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.system.programs import INTAKE, Service, clean_environment, free_port

REQUESTS = 200
CV = b"%PDF-1.4" + b"x" * 100_000
FORM = """
privacy_url = "https://firm.example/privacy"
[texts.en]
no_relationship = "You are not our client yet."
no_confidential = "Send nothing confidential."
privacy = "We use your details to answer you."
[[fields]]
key = "story"
type = "long_text"
label = {en = "What happened?"}
"""


def test_serve_prints_the_address_of_the_form(tmp_path: Path) -> None:
    port = str(free_port())
    with Service(clean_environment(tmp_path, INTAKE_PORT=port), tmp_path) as service:
        log = "".join(service.log)
        assert "the form at / is served to this machine only" in log
        assert f"open http://127.0.0.1:{port}/ in a browser" in log
        assert "Send us your details" in httpx2.get(f"http://127.0.0.1:{port}/").text
    with Service(clean_environment(tmp_path, INTAKE_PORT=port), tmp_path, "serve", "--surface", "internal") as service:
        assert "in a browser" not in "".join(service.log)
        assert httpx2.get(f"http://127.0.0.1:{port}/").status_code == 404


def cpu_s(process: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="measures with /proc")
def test_the_page_costs_at_most_a_third_of_a_submission(tmp_path: Path) -> None:
    def submit(client: httpx2.Client, number: int) -> None:
        form = {"email": f"ada{number}@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        client.post("/leads/", data=form, files={"CV": ("cv.pdf", CV)}).raise_for_status()

    def measured(client: httpx2.Client, request: Callable[[httpx2.Client, int], object]) -> float:
        request(client, 0)
        before = cpu_s(service.process.pid)
        for number in range(1, REQUESTS + 1):
            request(client, number)
        return cpu_s(service.process.pid) - before

    with Service(clean_environment(tmp_path), tmp_path, "serve", "--no-worker") as service:
        with httpx2.Client(base_url=service.url, timeout=60) as client:
            page = measured(client, lambda client, _number: client.get("/").raise_for_status())
            assert page * 3 <= measured(client, submit)


def test_check_reports_missing_legal_texts_and_free_text_fields(tmp_path: Path) -> None:
    def check(form: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "form.toml").write_text(form)
        environment = clean_environment(tmp_path, INTAKE_FORM="form.toml")
        return subprocess.run([INTAKE, "check"], env=environment, cwd=tmp_path, capture_output=True, text=True)

    without_database = check(FORM)
    assert "INTAKE_FORM has the free-text field 'story'" in without_database.stdout
    assert "there is no database" in without_database.stderr
    subprocess.run([INTAKE, "migrate"], env=clean_environment(tmp_path), cwd=tmp_path, check=True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/styles.css.jinja").touch()
    complete = check(f'templates = "own"{FORM}')
    assert "styles.css.jinja in the templates of INTAKE_FORM has no effect" in complete.stdout
    (tmp_path / "own/thanks.html.jinja").write_text("{{ missing }}")
    invalid = check(f'templates = "own"{FORM}')
    assert (invalid.returncode, "thanks.html.jinja, line 1 can't be rendered" in invalid.stderr) == (1, True)
    assert "intake: the form is at /" in complete.stderr
    assert "INTAKE_FORM has the free-text field 'story'" in complete.stdout
    assert "lacks" not in complete.stdout
    assert "INTAKE_FORM lacks no_relationship" in check('name = "A firm"').stdout
    wrong = check('colour = "red"')
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)
    assert "colour: unknown key" in wrong.stderr
