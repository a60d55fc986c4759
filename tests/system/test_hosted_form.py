"""The form of a real service: its address in the log, and in `intake check`."""

import subprocess
from pathlib import Path

import httpx2

from tests.system.programs import INTAKE, Service, clean_environment, free_port

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


def test_check_reports_missing_legal_texts_and_free_text_fields(tmp_path: Path) -> None:
    def check(form: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "form.toml").write_text(form)
        environment = clean_environment(tmp_path, INTAKE_FORM="form.toml")
        return subprocess.run([INTAKE, "check"], env=environment, cwd=tmp_path, capture_output=True, text=True)

    subprocess.run([INTAKE, "migrate"], env=clean_environment(tmp_path), cwd=tmp_path, check=True)
    complete = check(FORM)
    assert "intake: the form is at /" in complete.stderr
    assert "INTAKE_FORM has the free-text field 'story'" in complete.stdout
    assert "lacks" not in complete.stdout
    assert "INTAKE_FORM lacks no_relationship" in check('name = "A firm"').stdout
    wrong = check('colour = "red"')
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)
    assert "colour: unknown key" in wrong.stderr
