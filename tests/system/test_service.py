"""`intake` as a process: start, commands, errors and shutdown."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest

from intake.database import Database
from intake.errors import AuthenticationRequired
from intake.settings import Settings
from intake.users import accounts, authentication
from intake.users.tokens import TokenSigner
from tests.conftest import SECRET, Databases
from tests.postgres import PostgresServer
from tests.system.programs import INTAKE, LEADCTL, Service, clean_environment, free_port

PASSWORD = "correct horse battery"


def intake(directory: Path, *arguments: str, typed: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INTAKE, *arguments],
        input=typed,
        capture_output=True,
        text=True,
        env=clean_environment(directory, **settings),
        cwd=directory,
        timeout=60,
    )


def postgres(url: str) -> dict[str, str]:
    return {"INTAKE_DATABASE_URL": url, "INTAKE_JWT_SECRET": SECRET}


@pytest.mark.usefixtures("real_starts")
def test_serve_creates_and_migrates_sqlite_with_owner_only_permissions(tmp_path: Path) -> None:
    with Service(clean_environment(tmp_path), tmp_path) as service:
        assert httpx2.get(f"{service.url}/readyz").status_code == 200
        log = "".join(service.log)
    assert "mails are written to intake.db.maildir" in log
    assert "create the first administrator with: intake create-user NAME" in log
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_new_files_are_the_owners_whatever_the_umask(tmp_path: Path) -> None:
    store = tmp_path / "new" / "CVs"
    before = os.umask(0)
    try:
        with Service(clean_environment(tmp_path, INTAKE_CV_STORE=store.as_uri()), tmp_path) as service:
            form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
            sent = httpx2.post(f"{service.url}/leads/", data=form, files={"CV": ("cv.pdf", b"%PDF-1.4 a CV")})
            assert sent.status_code == 204
            deadline = time.monotonic() + 30
            while not any(tmp_path.glob("intake.db.maildir/new/*")) and time.monotonic() < deadline:
                time.sleep(0.1)
            created = [path for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077]
    finally:
        os.umask(before)
    assert created == []
    assert any(store.iterdir())


def test_serve_refuses_an_unmigrated_database(databases: Databases, tmp_path: Path) -> None:
    url = databases.empty_url()
    if url.startswith("sqlite"):
        done = intake(tmp_path, "create-user", "ada", "--password-stdin", typed=PASSWORD, INTAKE_DATABASE_URL=url)
        assert done.returncode == 1
        assert done.stderr.startswith("intake: there is no database at ")
        return
    done = intake(tmp_path, "serve", **postgres(url))
    assert (done.returncode, done.stderr) == (1, "intake: the database is not migrated; run: intake migrate\n")
    assert intake(tmp_path, "migrate", **postgres(url)).returncode == 0
    with Service(clean_environment(tmp_path, **postgres(url)), tmp_path) as service:
        assert httpx2.get(f"{service.url}/readyz").status_code == 200


def test_serve_flags_select_api_host_and_port(databases: Databases, tmp_path: Path) -> None:
    environment = clean_environment(tmp_path, INTAKE_DATABASE_URL=databases.migrated_url(), INTAKE_HOST="0.0.0.0")
    port = free_port()
    flags = ("--surface", "public", "--host", "127.0.0.1", "--port", str(port))
    with Service(environment, tmp_path, "serve", *flags) as service:
        assert service.url == f"http://127.0.0.1:{port}"
        paths = ("/readyz", "/metrics", "/internal/leads/", "/internal/docs")
        assert [httpx2.get(service.url + path).status_code for path in paths] == [200, 404, 404, 404]
        assert not list(tmp_path.glob("*.secret"))
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, service.process.pid) == min(own + 5, 19), "it gives way to the other one"
    done = intake(tmp_path, "serve", "--port", "http")
    assert (done.returncode, "INTAKE_PORT is 'http'; expected a TCP port" in done.stderr) == (1, True)


def test_create_user_makes_the_first_user_an_administrator(databases: Databases, tmp_path: Path) -> None:
    url = postgres(databases.migrated_url())
    first = intake(tmp_path, "create-user", "Ada", "--password-stdin", typed=PASSWORD + "\n", **url)
    assert (first.returncode, first.stderr) == (0, "intake: created user Ada with role admin\n")
    second = intake(tmp_path, "create-user", "grace", "--password-stdin", typed=PASSWORD, **url)
    assert second.stderr == "intake: created user grace with role attorney\n"
    third = intake(tmp_path, "create-user", "peter", "--password-stdin", "--role", "admin", typed=PASSWORD, **url)
    assert third.stderr == "intake: created user peter with role admin\n"
    taken = intake(tmp_path, "create-user", "aDA", "--password-stdin", typed=PASSWORD, **url)
    assert (taken.returncode, taken.stderr) == (1, "intake: the name 'aDA' is taken\n")
    bad = intake(tmp_path, "create-user", "a b", "--password-stdin", typed="short", **url)
    assert bad.returncode == 1
    assert "username: must be" in bad.stderr
    assert "password: must have" in bad.stderr
    assert intake(tmp_path, "create-user", "x", **url).returncode == 2


def test_allow_login_exempts_a_throttled_user(databases: Databases, tmp_path: Path) -> None:
    url = postgres(databases.migrated_url())
    intake(tmp_path, "create-user", "ada", "--password-stdin", typed=PASSWORD, **url)
    done = intake(tmp_path, "allow-login", "ADA", "--for", "30m", **url)
    assert (done.returncode, done.stderr) == (0, "intake: logins of ADA have priority for 30m\n")
    done = intake(tmp_path, "allow-login", "ada", "--from", "2001:db8::7", **url)
    assert done.stderr == "intake: logins of ada from 2001:db8::/64 have priority for 1h\n"
    mapped = intake(tmp_path, "allow-login", "ada", "--from", "::ffff:198.51.100.7", **url)
    assert mapped.stderr == "intake: logins of ada from 198.51.100.7 have priority for 1h\n"
    bad = intake(tmp_path, "allow-login", "ada", "--from", "home", **url)
    assert (bad.returncode, "--from is 'home'; expected an IP address" in bad.stderr) == (2, True), bad.stderr
    nobody = intake(tmp_path, "allow-login", "nobody", **url)
    assert (nobody.returncode, nobody.stderr) == (1, "intake: there is no user 'nobody'\n")
    for wrong in ("0", "2d", "soon", "-1h"):
        bad = intake(tmp_path, "allow-login", "ada", "--for", wrong, **url)
        assert (bad.returncode, f"--for is '{wrong}'; expected" in bad.stderr) == (2, True), bad.stderr


def test_create_user_run_concurrently_creates_the_user_once(databases: Databases, tmp_path: Path) -> None:
    environment = clean_environment(tmp_path, **postgres(databases.migrated_url()))
    command = [INTAKE, "create-user", "ada", "--password-stdin"]
    started = [
        subprocess.Popen(command, env=environment, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        process.communicate(PASSWORD.encode())
    assert sorted(process.returncode for process in started) == [0, 1, 1]


def test_concurrent_first_users_give_one_administrator(databases: Databases) -> None:
    settings = Settings(database_url=databases.migrated_url(), jwt_secrets=(SECRET,))
    database = Database(settings, connections=6)
    with ThreadPoolExecutor(6) as pool:
        names = [f"user{n}" for n in range(6)]
        roles = list(
            pool.map(lambda n: accounts.create_user(database, username=n, password=PASSWORD, role=None), names)
        )
    assert sorted(roles) == ["admin"] + ["attorney"] * 5
    database.close()


def test_a_new_password_revokes_older_tokens(databases: Databases, tmp_path: Path) -> None:
    url = databases.migrated_url()
    settings = Settings(database_url=url, jwt_secrets=(SECRET,))
    database, keys = Database(settings, connections=1), TokenSigner.from_settings(settings)
    accounts.create_user(database, username="ada", password=PASSWORD, role=None)
    token = authentication.log_in(database, keys, username="ada", password=PASSWORD)
    done = intake(tmp_path, "set-password", "ADA", "--password-stdin", typed="another password", **postgres(url))
    assert done.returncode == 0
    with pytest.raises(AuthenticationRequired):
        accounts.authenticate(database, keys, token=token)
    assert authentication.log_in(database, keys, username="ada", password="another password")
    database.close()
    nobody = intake(tmp_path, "set-password", "nobody", "--password-stdin", typed=PASSWORD, **postgres(url))
    assert (nobody.returncode, nobody.stderr) == (1, "intake: there is no user 'nobody'\n")


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ({"INTAKE_PORT": "x"}, ["intake: INTAKE_PORT is 'x'; expected a TCP port from 0 (any free port) to 65535"]),
        ({"INTAKE_DATABASE_URL": "postgresql://h/db"}, ["intake: INTAKE_JWT_SECRET is not set"]),
        ({"INTAKE_PORT": "x", "INTAKE_STATES": "x"}, ["intake: INTAKE_PORT is", "intake: INTAKE_STATES is"]),
        (
            {"INTAKE_DATABASE_URL": "sqlite:////nowhere/x.db"},
            ["intake: can't create or write the database /nowhere/x.db"],
        ),
        (postgres("postgresql://127.0.0.1:1/db"), ["intake: the database is unavailable: connection to server at"]),
        ({"INTAKE_FORM": "form.toml"}, ["intake: INTAKE_FORM: form.toml: colour: unknown key; correct or remove it"]),
        (
            {"INTAKE_MAIL_TEMPLATES": "."},
            ["intake: the template alert.txt.jinja, line 3 can't be rendered: division by zero"],
        ),
    ],
)
def test_serve_prints_one_line_per_invalid_setting(tmp_path: Path, settings: dict[str, str], lines: list[str]) -> None:
    (tmp_path / "alert.txt.jinja").write_text("Subject: x\n\n{{ 1 / 0 }}")
    (tmp_path / "form.toml").write_text("colour = 1")
    done = intake(tmp_path, "serve", **settings)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == len(lines), done.stderr
    for line, expected in zip(done.stderr.splitlines(), lines, strict=True):
        assert line.startswith(expected)


def make_orphan(store: Path) -> Path:
    orphan = store / token_hex(16)
    orphan.write_text("left by a failed commit")
    two_days_ago = time.time() - 2 * 86400
    os.utime(orphan, (two_days_ago, two_days_ago))
    return orphan


def test_orphans_are_collected_by_service_and_command(databases: Databases, tmp_path: Path) -> None:
    store = tmp_path / "CVs"
    store.mkdir()
    settings = {**postgres(databases.migrated_url()), "INTAKE_CV_STORE": store.as_uri()}
    first = make_orphan(store)
    with Service(clean_environment(tmp_path, **settings), tmp_path) as service:
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        assert httpx2.post(f"{service.url}/leads/", data=form, files={"CV": ("cv.pdf", b"x")}).status_code == 204
        until = time.monotonic() + 10
        while first.exists():
            assert time.monotonic() < until
            time.sleep(0.1)
    make_orphan(store)
    done = intake(tmp_path, "collect-orphans", **settings)
    summary = "orphans moved to trash: 1, deleted from trash: 0, moved back: 0; CVs missing from the store: 0"
    assert (done.returncode, done.stderr) == (0, f"intake: {summary}\n")
    assert [file.read_bytes() for file in store.iterdir() if file.is_file()] == [b"x"]


def test_unresponsive_store_does_not_delay_shutdown(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ALLOW_HTTP": "true"}
        settings = {"INTAKE_CV_STORE": "s3://cvs", "AWS_ENDPOINT_URL": endpoint, **keys}
        with Service(clean_environment(tmp_path, **settings), tmp_path) as service:
            connection, _ = silent.accept()  # the request of the orphan collection
            began = time.monotonic()
            service.stop()
            assert time.monotonic() - began < 10
        connection.close()


def test_collect_orphans_requires_a_store(tmp_path: Path) -> None:
    done = intake(tmp_path, "collect-orphans")
    assert done.returncode == 1
    assert done.stderr.startswith("intake: INTAKE_CV_STORE is not set")


def test_check_prints_weak_settings_to_stdout(tmp_path: Path) -> None:
    intake(tmp_path, "migrate")
    done = intake(tmp_path, "check", INTAKE_OPEN_REGISTRATION="1", INTAKE_JWT_SECRET="a" * 40)
    assert done.returncode == 1
    assert {"INTAKE_JWT_SECRET", "INTAKE_OPEN_REGISTRATION"} <= {line.split()[0] for line in done.stdout.splitlines()}
    assert "a" * 40 not in done.stdout + done.stderr


def test_unknown_setting_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("INTAKE_PROT=1\n")
    done = intake(tmp_path, "migrate")
    assert "INTAKE_PROT is set, but it is not a setting of this service" in done.stderr


def test_serve_refuses_states_missing_from_settings(tmp_path: Path) -> None:
    with Service(clean_environment(tmp_path), tmp_path) as service:
        form = {"email": "a@example.com", "f_name": "A", "l_name": "B"}
        httpx2.post(f"{service.url}/leads/", data=form, files={"CV": ("x.txt", b"x")})
    done = intake(tmp_path, "serve", INTAKE_STATES="NEW,DONE")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("intake: leads are in states that INTAKE_STATES lacks: 1 in PENDING")


def test_serve_reports_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = intake(tmp_path, "serve", INTAKE_PORT=str(taken.getsockname()[1]))
    assert done.returncode != 0
    assert "address already in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("real_starts")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_shuts_down_on_signals(tmp_path: Path, number: signal.Signals) -> None:
    with Service(clean_environment(tmp_path), tmp_path) as service:
        began = time.monotonic()
        os.kill(service.process.pid, number)
        service.process.wait(20)
        assert time.monotonic() - began < 10
        assert service.process.returncode in (-number, 128 + number), "like any program ended by a signal"


@contextmanager
def filled(server: PostgresServer, directory: Path) -> Iterator[tuple[PostgresServer, Service, str]]:
    """Run a service on a PostgreSQL server with 60,000 leads; yield it with an administrator's token."""
    url = server.url("postgres")
    assert intake(directory, "migrate", **postgres(url)).returncode == 0
    settings = Settings(database_url=url.replace("sql:", "sql+psycopg2:"), jwt_secrets=(SECRET,))
    database = Database(settings, connections=1)
    accounts.create_user(database, username="ada", password=PASSWORD, role=None)
    token = authentication.log_in(database, TokenSigner.from_settings(settings), username="ada", password=PASSWORD)
    columns = '(email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key, l_name_key)'
    rows = "SELECT 'a@b.c', n, n, 'cv', 'PENDING', now(), now(), 'a@b.c', n, n FROM generate_series(1, 60000) n"
    database.write(lambda c: c.exec_driver_sql(f"INSERT INTO lead {columns} {rows}"))
    database.close()
    with Service(clean_environment(directory, **postgres(url)), directory) as service:
        yield server, service, token


@pytest.fixture(scope="module")
def full_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PostgresServer, Service, str]]:
    """A full server for tests that only read."""
    server = PostgresServer()
    try:
        server.start()
        with filled(server, tmp_path_factory.mktemp("full")) as found:
            yield found
    finally:
        server.close()


@pytest.fixture
def mortal_postgres(own_postgres: PostgresServer, tmp_path: Path) -> Iterator[tuple[PostgresServer, Service, str]]:
    """A full server that a test may kill."""
    with filled(own_postgres, tmp_path) as found:
        yield found


def test_list_array_is_not_closed_when_the_database_crashes(
    mortal_postgres: tuple[PostgresServer, Service, str],
) -> None:
    server, service, token = mortal_postgres
    received = b""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.stream("GET", f"{service.url}/internal/leads/", headers=headers) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw(1024)
        received += next(pieces)
        server.kill()
        with suppress(httpx2.RemoteProtocolError):
            for piece in pieces:
                received += piece
            pytest.fail("the response ended as if it were complete")
    assert received.startswith(b"[")
    assert not received.endswith(b"]")
    away = httpx2.get(f"{service.url}/internal/leads/", headers=headers)
    assert (away.status_code, away.headers["Retry-After"]) == (503, "5")
    assert httpx2.get(f"{service.url}/readyz").status_code == 503
    assert httpx2.get(f"{service.url}/healthz").status_code == 200
    server.start()
    assert len(httpx2.get(f"{service.url}/internal/leads/", headers=headers, timeout=60).json()) == 60_000


def test_slow_readers_do_not_occupy_database_connections(full_postgres: tuple[PostgresServer, Service, str]) -> None:
    _, service, token = full_postgres
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=30) as client:
        slow = [client.stream("GET", "/internal/leads/") for _ in range(12)]
        answers = [stream.__enter__() for stream in slow]
        began = time.monotonic()
        for _ in range(20):
            assert client.get("/internal/leads/?limit=50").status_code == 200
        assert time.monotonic() - began < 10
        if (status := Path(f"/proc/{service.process.pid}/status")).exists():
            assert int(status.read_text().partition("Threads:")[2].split()[0]) < 50
        for stream, answer in zip(slow, answers, strict=True):
            answer.close()
            stream.__exit__(None, None, None)


@pytest.mark.usefixtures("real_starts")
@pytest.mark.parametrize(("output", "leads"), [("ndjson", 60_000), ("csv", 60_000), ("table", 10_000)])
def test_leadctl_list_streams_with_constant_memory(
    full_postgres: tuple[PostgresServer, Service, str], tmp_path: Path, output: str, leads: int
) -> None:
    _, service, token = full_postgres
    environment = clean_environment(tmp_path, LEADCTL_URL=service.url, LEADCTL_TOKEN=token)

    def run(*arguments: str) -> tuple[int, float, float]:
        """Return the number of lines, the seconds from first to last, and the peak memory in MiB."""
        process = subprocess.Popen([LEADCTL, "list", "-o", output, *arguments], stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        with process.stdout as printed:
            printed.readline()
            began = time.monotonic()
            count = 1 + sum(1 for _ in printed)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return count, time.monotonic() - began, usage.ru_maxrss / 1024

    begun = time.monotonic()
    count, rest_s, most = run("-n", str(leads))
    assert count in (leads, leads + 1), "with or without a header"
    assert rest_s > (time.monotonic() - begun) / 2
    assert most - run("-n", "1000")[2] < 10


def test_aborted_upload_leaves_no_lead_and_no_file(databases: Databases, tmp_path: Path) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    settings = {**postgres(databases.migrated_url()), "TMPDIR": str(spools)}
    head = (
        b"POST /leads/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: 6000000\r\n\r\n"
        b'--b\r\nContent-Disposition: form-data; name="email"\r\n\r\nada@example.com\r\n'
        b'--b\r\nContent-Disposition: form-data; name="CV"; filename="cv"\r\n\r\n'
    )
    with Service(clean_environment(tmp_path, **settings), tmp_path) as service:
        port = int(service.url.rpartition(":")[2])
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(head + b"x" * 3_000_000)
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        assert httpx2.post(f"{service.url}/leads/", data=form, files={"CV": ("cv.pdf", b"x")}).status_code == 204
    database = Database(Settings(database_url=settings["INTAKE_DATABASE_URL"]), connections=1)
    assert database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM lead").scalar_one()) == 1
    database.close()
    assert list(spools.iterdir()) == []
    assert "Traceback" not in "".join(service.log)
