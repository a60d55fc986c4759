"""The programs of docs/clients.md for Node and Python, run against a service and a faulty proxy."""

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faulty_proxy import HTML, LOST, PROBLEM, Answer, FaultyProxy
from tests.system.programs import Service, clean_environment

DOCUMENT = Path(__file__).parents[1] / "docs/clients.md"
CV = b"%PDF-1.4 a CV"
BUSY = (503, PROBLEM | {"Retry-After": "1"}, b'{"title": "Service busy"}')
# answers of a proxy to the first requests, and the number of requests after which the lead is saved
OUTCOMES: dict[str, tuple[tuple[Answer | None, ...], int]] = {
    "saved at once": ((), 1),
    "the response was lost": ((LOST,), 2),
    "busy, then still in progress": ((BUSY, (409, PROBLEM | {"Retry-After": "1"}, b"{}")), 3),
    "a page of a proxy": (((502, HTML, b"<h1>Bad gateway</h1>"),), 2),
}
# changes to the example, and the beginning of the error; `large` stands for the CV
REFUSALS = {
    "an invalid field": ("ada@example.com", "ada", "email"),
    "a large CV": ("cv.pdf", "large.pdf", "413"),
    "a wrong path": ("/leads/", "/nothing/", "404"),
}


def code(heading: str) -> str:
    """Return the code under a heading of docs/clients.md."""
    found = re.search(rf"^## {heading}\n.*?^```\w+\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


@dataclass(frozen=True)
class Example:
    """An example program with its interpreter, beside a CV."""

    heading: str
    command: tuple[str, ...]
    directory: Path

    def run(self, url: str, old: str = "", new: str = "") -> subprocess.CompletedProcess[str]:
        """Run the program against another URL, with one change."""
        program = self.directory / "example.mjs"
        program.write_text(code(self.heading).replace("https://intake.example.com", url).replace(old or "\0", new))
        (self.directory / "cv.pdf").write_bytes(CV)
        (self.directory / "large.pdf").write_bytes(b"%PDF-1.4" + bytes(2**21))
        return subprocess.run(
            [*self.command, str(program)], cwd=self.directory, capture_output=True, text=True, timeout=60
        )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on SQLite that accepts CVs of up to 1 MiB."""
    directory = tmp_path_factory.mktemp("service")
    with Service(clean_environment(directory, INTAKE_MAX_CV_BYTES="1MiB"), directory) as started:
        yield started


def leads(service: Service) -> list[tuple[str, str, str, str]]:
    """Return the leads of a service on SQLite, oldest first."""
    with closing(sqlite3.connect(service.directory / "intake.db")) as connection:
        return connection.execute('SELECT email, f_name, l_name, "CV_name" FROM lead ORDER BY id').fetchall()


def check_outcome(example: Example, service: Service, outcome: str) -> None:
    """Check that the program saves one lead, with one key in all requests."""
    answers, requests = OUTCOMES[outcome]
    before = len(leads(service))
    with FaultyProxy(service.url, *answers) as proxy:
        done = example.run(proxy.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert leads(service)[before:] == [("ada@example.com", "Ada", "Lovelace", "cv.pdf")]
    assert len(proxy.keys) == requests
    assert len(set(proxy.keys)) == 1


def check_refusal(example: Example, service: Service, refusal: str) -> None:
    """Check that the program ends with the error at once, and nothing is saved."""
    old, new, error = REFUSALS[refusal]
    before = leads(service)
    with FaultyProxy(service.url) as proxy:
        for url in (proxy.url, service.url):
            done = example.run(url, old, new)
            assert done.returncode == 1
            assert error in done.stderr
    assert len(proxy.keys) == 1
    assert leads(service) == before
