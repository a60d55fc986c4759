"""A running service with two users, and `leadctl` run as each of them."""

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


class Client:
    """Runs `leadctl` with one user's home directory."""

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
        """Run leadctl, require success, and return its standard output."""
        done = self.run(*arguments, typed=typed, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def log_in(self, username: str = "peter") -> None:
        """Log in with PASSWORD."""
        self.data("login", "-u", username, "--password-stdin", typed=PASSWORD)

    def token(self) -> str:
        """Return the stored token, for another URL of the same service."""
        file = next(self.home.rglob("credentials.json"))
        return str(json.loads(file.read_text())["profiles"]["default"]["token"])

    def submit(self, *, cv: bytes = b"%PDF-1.4 a CV", cv_name: str = "cv.pdf", **fields: str) -> int:
        """Submit a lead and return its id."""
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", **fields}
        answer = httpx2.post(f"{self.url}/leads/", data=form, files={"CV": (cv_name, cv)})
        assert answer.status_code == 204, answer.text
        [newest] = self._get("/internal/leads/?limit=1&order=desc")
        return int(newest["id"])

    def state(self, lead_id: int) -> str:
        """Return the state of a lead."""
        return str(self._get(f"/internal/leads/{lead_id}")["state"])

    def _get(self, path: str) -> Any:
        """Return the service's response, without starting leadctl."""
        return httpx2.get(self.url + path, headers={"Authorization": f"Bearer {self.token()}"}).json()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on SQLite without a worker, with the users harriet, an administrator, and peter, an attorney."""
    directory = tmp_path_factory.mktemp("service")
    environment = clean_environment(directory, INTAKE_ATTORNEY_EMAILS="harriet@firm.example", INTAKE_CV_EXTENSIONS="*")
    with Service(environment, directory, "serve", "--no-worker") as service:
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


@pytest.fixture(scope="module")
def worker(service: Service) -> Iterator[None]:
    """A worker for the service; in most tests, it would only use processor time for mails and texts of CVs."""
    with Service(service.environment, service.directory, "worker"):
        yield


@pytest.fixture
def anonymous(service: Service, tmp_path: Path) -> Client:
    """A client that is not logged in."""
    return Client(service.url, tmp_path)


@pytest.fixture(scope="session")
def logged_in(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory after peter's login; hashing a password for each test would be slow."""
    home = tmp_path_factory.mktemp("home")
    Client(service.url, home).log_in()
    return home


@pytest.fixture
def client(anonymous: Client, logged_in: Path) -> Client:
    """A client logged in as an attorney."""
    shutil.copytree(logged_in, anonymous.home, dirs_exist_ok=True)
    return anonymous


@pytest.fixture(scope="session")
def administrators_home(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory after harriet's login."""
    home = tmp_path_factory.mktemp("home")
    Client(service.url, home).log_in("harriet")
    return home


@pytest.fixture
def admin(service: Service, administrators_home: Path, tmp_path: Path) -> Client:
    """A client logged in as an administrator, with its own home directory."""
    home = tmp_path / "administrator"
    shutil.copytree(administrators_home, home)
    return Client(service.url, home)
