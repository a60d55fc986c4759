"""leadctl export-person."""

import io
import json
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from leadctl.errors import ChecksumError
from leadctl.files.person_export import to_file, to_stream
from tests.leadctl.conftest import Client
from tests.system.programs import LEADCTL

ADDRESS = "exported@example.com"


def test_the_zip_has_mode_0600_and_overwrites_nothing(admin: Client) -> None:
    lead_id = admin.submit(email=ADDRESS, cv=b"%PDF-1.4 exported", cv_name="a/b c.pdf")
    assert admin.data("export-person", "--email", ADDRESS) == f"{ADDRESS}.zip\n"
    file = admin.home / f"{ADDRESS}.zip"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        assert archive.read(f"cvs/{lead_id}-b c.pdf") == b"%PDF-1.4 exported"
        assert [one["id"] for one in json.loads(archive.read("person.json"))["leads"]] == [lead_id]
    file.write_text("mine")
    again = admin.run("export-person", "--email", ADDRESS)
    assert (again.returncode, file.read_text()) == (1, "mine")
    assert "--force" in again.stderr
    admin.data("export-person", "--email", ADDRESS, "-O", file.name, "--force")
    assert zipfile.is_zipfile(file)
    assert [path.name for path in admin.home.iterdir() if path.name.startswith(".leadctl")] == []


@pytest.mark.parametrize(
    ("options", "path"), [([], "_-x@example.com.zip"), (["-O", "-x.zip"], "./-x.zip")], ids=["default", "-O"]
)
def test_no_printed_path_is_an_option(admin: Client, options: list[str], path: str) -> None:
    admin.submit(email="-x@example.com")
    assert admin.data("export-person", "--email", "-x@example.com", *options) == f"{path}\n"


def test_standard_output(admin: Client) -> None:
    admin.submit(email=ADDRESS)
    command = [LEADCTL, "export-person", "--email", ADDRESS.upper(), "-O", "-"]
    done = subprocess.run(command, capture_output=True, env=admin.environment, cwd=admin.home, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "person.json" in zipfile.ZipFile(io.BytesIO(done.stdout)).namelist()


def test_exit_codes(admin: Client) -> None:
    assert admin.run("export-person", "--email", "nobody@example.com").returncode == 5
    assert admin.run("export-person", "--email", "nobody").returncode == 2
    admin.submit(email=ADDRESS)
    nowhere = admin.run("export-person", "--email", ADDRESS, "-O", "nowhere/x.zip")
    assert (nowhere.returncode, nowhere.stderr) == (
        1,
        "leadctl: can't write nowhere/x.zip: No such file or directory\n",
    )
    device = admin.run("export-person", "--email", ADDRESS, "-O", "/dev/null", "--force")
    assert device.returncode == 1
    assert Path("/dev/null").is_char_device()


def made() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("person.json", json.dumps({"leads": [{"id": n, "CV_path": "cvs/x"} for n in range(500)]}))
    return made.getvalue()


WHOLE = made()
DAMAGED = [b"", b"not a zip", WHOLE[:-10], WHOLE[:60] + b"!!!!" + WHOLE[64:], WHOLE[30:]]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_zip_is_not_saved(tmp_path: Path, content: bytes) -> None:
    out = io.BytesIO()
    with pytest.raises(ChecksumError):
        to_file([content], tmp_path / "x.zip", force=True)
    with pytest.raises(ChecksumError):
        to_stream([content], out)
    assert (list(tmp_path.iterdir()), out.getvalue()) == ([], b"")


def test_a_new_file_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "x.zip"

    def arriving() -> Iterator[bytes]:
        target.write_text("another's")
        yield WHOLE

    with pytest.raises(FileExistsError):
        to_file(arriving(), target, force=False)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.zip", "another's")]


def test_omitted_cvs_are_returned(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("person.json", "{}")
        archive.writestr("omitted.json", "[7]")
    assert to_file([made.getvalue()], tmp_path / "x.zip", force=False) == [7]
    assert to_stream([made.getvalue()], io.BytesIO()) == [7]


@pytest.mark.parametrize("text", ["", "1", "null", '{"leads": 1}', "[null]", "[[1]]", "[Infinity]"])
def test_an_unexpected_zip_is_not_saved(tmp_path: Path, text: str) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("person.json", "{}")
        archive.writestr("omitted.json", text)
    with pytest.raises(ChecksumError):
        to_file([made.getvalue()], tmp_path / "x.zip", force=False)
    assert list(tmp_path.iterdir()) == []


class CutOff(BaseHTTPRequestHandler):
    """Responds with a truncated zip."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n" % (20, WHOLE[:20]))
        self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Do not log."""


def test_an_interrupted_export_is_exit_75(anonymous: Client) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), CutOff)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    done = anonymous.run("--url", url, "export-person", "--email", ADDRESS, LEADCTL_TOKEN="a.b.c")
    server.shutdown()
    server.server_close()
    assert done.returncode == 75, done.stderr
    assert list(anonymous.home.iterdir()) == []
