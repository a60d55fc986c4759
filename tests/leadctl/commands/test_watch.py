"""leadctl watch."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx2
import psycopg2
import pytest

from intake.database import Database
from intake.settings import Settings
from intake.users import accounts, authentication
from intake.users.tokens import TokenSigner
from tests.conftest import SECRET, Databases
from tests.leadctl.conftest import PASSWORD, Client
from tests.system.programs import LEADCTL, Service, clean_environment, free_port

WITHIN_S = 30


def until(holds: Callable[[], object], what: Callable[[], object]) -> None:
    ends = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < ends, what()
        time.sleep(0.02)


class Watch:
    """A running `leadctl watch` and its output."""

    def __init__(self, client: Client, *arguments: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [LEADCTL, "watch", "--interval", "0.2", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=client.environment,
            cwd=client.home,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, count: int) -> list[str]:
        """Wait for `count` lines and return them."""
        until(lambda: len(self.lines) >= count or self.process.poll() is not None, lambda: self.lines)
        assert len(self.lines) >= count, self.process.communicate()
        return self.lines

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and standard error."""
        self.process.send_signal(number)
        code = self.process.wait(WITHIN_S)
        self._reader.join(WITHIN_S)
        assert self.process.stderr is not None
        with self.process.stderr as said:
            return code, said.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(WITHIN_S)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as printed:
            self.lines += printed


def submit(client: Client, email: str) -> None:
    form = {"email": email, "f_name": "Ada", "l_name": "Lovelace"}
    answer = httpx2.post(f"{client.url}/leads/", data=form, files={"CV": ("cv.pdf", b"%PDF-1.4 a CV")})
    assert answer.status_code == 204, answer.text


class Deployment:
    """A service on PostgreSQL that can be restarted at the same URL."""

    def __init__(self, database_url: str, directory: Path, stack: ExitStack) -> None:
        port = free_port()
        self.directory, self._stack = directory, stack
        self._url = database_url.replace("+psycopg2", "")
        self._environment = clean_environment(
            directory, INTAKE_DATABASE_URL=database_url, INTAKE_JWT_SECRET=SECRET, INTAKE_PORT=str(port)
        )
        self.client = Client(f"http://127.0.0.1:{port}", directory)
        self.client.environment["LEADCTL_TOKEN"] = self._token(database_url)

    def start(self) -> Service:
        return self._stack.enter_context(Service(self._environment, self.directory))

    def transaction(self, email: str) -> "psycopg2.extensions.connection":
        """Return an open transaction that has inserted a lead."""
        connection = psycopg2.connect(self._url)
        self._stack.callback(connection.close)
        with connection.cursor() as cursor:
            cursor.execute(
                'INSERT INTO lead (email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, '
                "f_name_key, l_name_key) VALUES (%s, 'A', 'B', 'cv', 'PENDING', now(), now(), %s, 'a', 'b')",
                [email, email],
            )
        return connection

    def _token(self, database_url: str) -> str:
        settings = Settings(database_url=database_url, jwt_secrets=(SECRET,))
        database = Database(settings, connections=1)
        self._stack.callback(database.close)
        accounts.create_user(database, username="ada", password=PASSWORD, role=None)
        return authentication.log_in(database, TokenSigner.from_settings(settings), username="ada", password=PASSWORD)


@pytest.fixture
def deployment(postgres_url: str, tmp_path: Path) -> Iterator[Deployment]:
    databases = Databases("postgresql", tmp_path, postgres_url, postgres_url)
    with ExitStack() as stack:
        yield Deployment(databases.migrated_url(), tmp_path, stack)


def received(client: Client, lead_id: int) -> str:
    """Return when a lead was received; the service also has the leads of all tests before, one program each."""
    return str(json.loads(client.data("show", str(lead_id), "-o", "json"))["created_at"])


def emails(watch: Watch) -> list[str]:
    return [line.split("\t")[1] for line in watch.lines]


def lists(service: Service) -> int:
    return sum("GET /internal/leads/ 200" in line for line in service.log)


def test_transactions_that_end_out_of_order(deployment: Deployment) -> None:
    service = deployment.start()
    submit(deployment.client, "before@example.com")
    open_before = deployment.transaction("open-before@example.com")
    with Watch(deployment.client) as watch:
        until(lambda: lists(service) >= 5, lambda: service.log)
        first, second = deployment.transaction("first@example.com"), deployment.transaction("second@example.com")
        submit(deployment.client, "third@example.com")
        watch.wait_for(1)
        second.commit()
        watch.wait_for(2)
        first.commit()
        open_before.commit()
        watch.wait_for(4)
        submit(deployment.client, "last@example.com")
        watch.wait_for(5)
        time.sleep(1)
        assert emails(watch)[:2] == ["third@example.com", "second@example.com"]
        assert sorted(emails(watch)[2:4]) == ["first@example.com", "open-before@example.com"]
        assert emails(watch)[4:] == ["last@example.com"]
        ids = [int(line.split("\t")[0]) for line in watch.lines]
        assert ids != sorted(ids), "leads become visible in another order than their ids"
        assert watch.end() == (130, "")


def test_watching_survives_a_restart_of_the_server(deployment: Deployment) -> None:
    service = deployment.start()
    with Watch(deployment.client, "--since", "1h") as watch:
        submit(deployment.client, "before@example.com")
        watch.wait_for(1)
        open_over_it = deployment.transaction("open@example.com")
        service.stop()
        deployment.transaction("meanwhile@example.com").commit()
        time.sleep(1.5)
        deployment.start()
        submit(deployment.client, "after@example.com")
        watch.wait_for(3)
        open_over_it.commit()
        watch.wait_for(4)
        time.sleep(1)
        assert sorted(emails(watch)) == [f"{name}@example.com" for name in ("after", "before", "meanwhile", "open")]
        code, said = watch.end()
    assert code == 130
    assert [line.partition(" (")[0].partition(":")[0] for line in said.splitlines()] == [
        "no response from http",
        "reconnected",
    ]


def test_state_filters_use_the_state_at_first_sight(deployment: Deployment) -> None:
    deployment.start()
    with Watch(deployment.client, "--since", "1h", "--state", "ENGAGED", "--state", "DECLINED", "-o", "ids") as watch:
        submit(deployment.client, "pending@example.com")
        engaged = deployment.transaction("engaged@example.com")
        with engaged.cursor() as cursor:
            cursor.execute("UPDATE lead SET state = 'ENGAGED' WHERE email = 'engaged@example.com'")
        engaged.commit()
        watch.wait_for(1)
        deployment.client.data("set-state", "DECLINED", "1")
        time.sleep(1)
        assert watch.lines == ["2\n"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_watching_silently(client: Client, number: signal.Signals) -> None:
    client.submit()
    with Watch(client, "--since", "1h") as watch:
        watch.wait_for(1)
        assert watch.end(number) == (128 + number, "")


def test_a_closed_pipe_ends_watching_without_new_leads(client: Client) -> None:
    client.submit()
    done = subprocess.run(
        ["bash", "-c", "set -o pipefail; leadctl watch --since 1h -o ids | head -n 1"],
        capture_output=True,
        text=True,
        env=client.environment | {"PATH": f"{LEADCTL.removesuffix('/leadctl')}:/usr/bin:/bin"},
        timeout=WITHIN_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_exec_passes_each_lead_on_standard_input_only(client: Client) -> None:
    evil = "$(touch evil) `touch evil`; \"touch\" 'evil' -rf"
    program = client.home / "a program.py"
    program.write_text("import sys\nprint('got', *sys.argv[1:])\nprint(sys.stdin.read(), end='')")
    lead_id = client.submit(f_name=evil)
    command = f"'{sys.executable}' '{program}' one 'two words'"
    with Watch(client, "--since", received(client, lead_id), "-o", "ids", "--exec", command) as watch:
        until(lambda: f"{lead_id}\n" in watch.lines and watch.lines[-1].startswith("{"), lambda: watch.lines)
        at = watch.lines.index(f"{lead_id}\n")
        assert watch.lines[at + 1] == "got one two words\n"
        assert json.loads(watch.lines[at + 2])["f_name"] == evil
    assert not (client.home / "evil").exists()


def test_a_failing_command_does_not_stop_watching(client: Client) -> None:
    first, second = client.submit(), client.submit()
    with Watch(client, "--since", received(client, first), "-o", "ids", "--exec", "false") as watch:
        until(lambda: f"{second}\n" in watch.lines, lambda: watch.lines)
        time.sleep(0.5)
        code, said = watch.end()
    assert code == 130
    for lead_id in (first, second):
        assert f"lead {lead_id}: false failed with exit code 1\n" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "json"], "use -o ndjson"),
        (["--state", "LOST"], "the states are PENDING"),
        (["--interval", "soon"], "--interval is 'soon'"),
        (["--interval", "0"], "--interval is '0'"),
        (["--since", "soon"], "--since is 'soon'"),
        (["--exec", "no-such-program-there"], "no such program"),
        (["--exec", "a 'b"], "No closing quotation"),
        (["--columns", "name"], "unknown column 'name'"),
    ],
)
def test_usage(client: Client, arguments: list[str], message: str) -> None:
    done = client.run("watch", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_watching_fails_if_the_server_is_unavailable_at_the_start(anonymous: Client) -> None:
    done = anonymous.run("--url", "http://127.0.0.1:1", "watch", LEADCTL_TOKEN="t")
    assert done.returncode == 75
