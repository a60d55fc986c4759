"""An office: a running service with two users, and `leadctl` as each of them would run it."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.system.programs import INTAKE, LEADCTL, Service, clean_environment

PASSWORD = "correct horse battery"


class Office:
    """A service, and one person's home directory."""

    def __init__(self, url: str, home: Path) -> None:
        self.url, self.home = url, home
        self.environment = clean_environment(home, LEADCTL_URL=url)

    def run(self, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run leadctl with its streams in pipes."""
        return subprocess.run(
            [LEADCTL, *arguments],
            input=typed,
            capture_output=True,
            text=True,
            env=self.environment | environment,
            cwd=self.home,
            timeout=60,
        )

    def data(self, *arguments: str, typed: str = "", **environment: str) -> str:
        """Return what leadctl prints where all goes well."""
        done = self.run(*arguments, typed=typed, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log_in(self, username: str = "peter") -> None:
        """Log in with PASSWORD."""
        self.data("login", "-u", username, "--password-stdin", typed=PASSWORD)

    def token(self) -> str:
        """Return the token that is kept, for another address of the same service."""
        file = next(self.home.rglob("credentials.json"))
        return str(json.loads(file.read_text())["profiles"]["default"]["token"])

    def submit(self, *, cv: bytes = b"%PDF-1.4 a CV", cv_name: str = "cv.pdf", **fields: str) -> int:
        """Send in a lead, and return its id."""
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", **fields}
        answer = httpx2.post(f"{self.url}/leads/", data=form, files={"CV": (cv_name, cv)})
        assert answer.status_code == 204, answer.text
        [newest] = self._asked("/internal/leads/?limit=1&order=desc")
        return int(newest["id"])

    def state(self, lead_id: int) -> str:
        """Return the state that a lead is in."""
        return str(self._asked(f"/internal/leads/{lead_id}")["state"])

    def _asked(self, path: str) -> Any:
        """Return what the service answers to this person, without a program's start."""
        return httpx2.get(self.url + path, headers={"Authorization": f"Bearer {self.token()}"}).json()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on SQLite with the users harriet, an administrator, and peter, an attorney."""
    directory = tmp_path_factory.mktemp("service")
    environment = clean_environment(directory, INTAKE_ATTORNEY_EMAILS="harriet@firm.example", INTAKE_CV_EXTENSIONS="*")
    with Service(environment, directory) as service:
        for name in ("harriet", "peter"):
            subprocess.run(
                [INTAKE, "create-user", name, "--password-stdin"],
                input=PASSWORD,
                text=True,
                env=environment,
                cwd=directory,
                check=True,
                capture_output=True,
            )
        yield service


@pytest.fixture
def stranger(service: Service, tmp_path: Path) -> Office:
    """Somebody who is not logged in."""
    return Office(service.url, tmp_path)


@pytest.fixture(scope="session")
def logged_in(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory after peter's login: hashing a password for each test would take the most of its time."""
    home = tmp_path_factory.mktemp("home")
    Office(service.url, home).log_in()
    return home


@pytest.fixture
def office(stranger: Office, logged_in: Path) -> Office:
    """An attorney who is logged in."""
    shutil.copytree(logged_in, stranger.home, dirs_exist_ok=True)
    return stranger


@pytest.fixture(scope="session")
def administrators_home(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory after harriet's login."""
    home = tmp_path_factory.mktemp("home")
    Office(service.url, home).log_in("harriet")
    return home


@pytest.fixture
def admin(service: Service, administrators_home: Path, tmp_path: Path) -> Office:
    """An administrator who is logged in, in a home beside an attorney's."""
    home = tmp_path / "administrator"
    shutil.copytree(administrators_home, home)
    return Office(service.url, home)
