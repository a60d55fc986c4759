"""CV scans by a real clamd with a single signature, EICAR's."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Intake
from tests.files import EICAR, docx, pdf, zipped
from tests.intake.leads.test_scans import known, scanning, settle, wait_for

START_WITHIN_S = 60
SIGNATURE = "Test.Eicar"
FOUND = ("quarantined", f"{SIGNATURE}.UNOFFICIAL")
STREAM_MAX_BYTES = 2**20


class Clamd:
    """A clamd process that listens on a Unix socket and on TCP."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.urls = {"unix": f"unix://{directory}/clamd.sock", "tcp": f"tcp://127.0.0.1:{self._port}"}
        (directory / "signatures").mkdir()
        (directory / "signatures" / "test.ndb").write_text(f"{SIGNATURE}:0:*:{EICAR.hex()}\n")

    def start(self) -> None:
        """Start it and wait until it listens."""
        program = shutil.which("clamd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
        assert program, "clamd is not installed; on Debian: apt-get install clamav-daemon"
        configuration = self._directory / "clamd.conf"
        configuration.write_text(
            f"Foreground yes\nLocalSocket {self._directory}/clamd.sock\nTCPSocket {self._port}\nTCPAddr 127.0.0.1\n"
            f"DatabaseDirectory {self._directory}/signatures\nTemporaryDirectory {self._directory}\n"
            "StreamMaxLength 1M\nMaxFileSize 512K\nAlertExceedsMax yes\n"
        )
        with (self._directory / "clamd.log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", configuration], stdout=log, stderr=log)
        until = time.monotonic() + START_WITHIN_S
        while not (self._directory / "clamd.sock").exists():
            assert self._process.poll() is None, (self._directory / "clamd.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    server = Clamd(tmp_path_factory.mktemp("clamd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["unix", "tcp"])
def intake(request: pytest.FixtureRequest, clamd: Clamd, start: Callable[..., Intake]) -> Intake:
    intake = start(clamd=clamd.urls[request.param])
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake


def test_signatures_are_found_in_files_documents_and_archives(intake: Intake) -> None:
    contents = {
        b"a CV": ("clean", None),
        EICAR: FOUND,
        docx({"word/media/image1.png": EICAR}): FOUND,
        pdf("x" * 300_000): ("clean", None),
        zipped({"cv.txt": b"x" * 1000 + EICAR}): FOUND,
        bytes(300_000): ("clean", None),
    }
    ids = [intake.submitted(CV=("cv", content)) for content in contents]
    with scanning(intake):
        assert settle(intake, *ids) == list(contents.values())


def test_oversized_files_are_too_large_to_scan(intake: Intake) -> None:
    sizes = (STREAM_MAX_BYTES + 1, 3 * STREAM_MAX_BYTES, 9 * STREAM_MAX_BYTES, STREAM_MAX_BYTES - 1)
    ids = [intake.submitted(CV=("cv", bytes(size))) for size in sizes]
    with scanning(intake):
        # the last fits StreamMaxLength, but exceeds MaxFileSize
        assert settle(intake, *ids) == [("too-large-to-scan", None)] * 4


def test_scans_resume_when_clamd_is_available_again(intake: Intake, clamd: Clamd) -> None:
    clamd.stop()
    lead_id = intake.submitted(CV=("cv", EICAR))
    with scanning(intake) as scanner:
        wait_for(lambda: scanner.last_error)
        assert known(intake, lead_id)["scan_state"] == "scanning"
        clamd.start()
        assert settle(intake, lead_id) == [FOUND]
