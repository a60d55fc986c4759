"""A real PgBouncer in transaction mode for the tests, between the service and its PostgreSQL server."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg2.extensions import parse_dsn

from tests.postgres import unprivileged_user, wait_until_it_answers

SERVER_CONNECTIONS = 5  # for each database: fewer than a service opens, so that its transactions share them

# `any` serves every client as the user below; unused connections to databases of earlier tests are closed soon, for
# the server's are counted; nothing is reset between two clients, so that what one leaves behind the next would find
CONFIGURATION = """\
[databases]
* = {server}
[pgbouncer]
unix_socket_dir = {directory}
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
server_reset_query =
server_idle_timeout = 2
"""


class PgBouncer:
    """A pooler of our own before the server at this address, reached through a socket in a temporary directory."""

    def __init__(self, server_url: str) -> None:
        self._program = _program()
        self._user = unprivileged_user()
        self._directory = Path(tempfile.mkdtemp(prefix="intake-pgbouncer-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self._directory / "log"
        values = {"server": _server(server_url), "directory": self._directory, "connections": SERVER_CONNECTIONS}
        self._settings.write_text(CONFIGURATION.format(**values))
        if self._user:
            for path in (self._directory, self._settings):
                shutil.chown(path, self._user)

    def start(self) -> None:
        """Start it, and return once it answers."""
        with self._log.open("ab") as log:
            command = [self._program, str(self._settings)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd="/")
        wait_until_it_answers(self.url("postgres"), self._process, self._log)

    def close(self) -> None:
        """End it, whoever is connected: each version means another signal by that, and it has nothing to finish."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
        shutil.rmtree(self._directory, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the address of one of the server's databases through it."""
        return f"postgresql://postgres@/{database}?host={quote(str(self._directory), safe='')}"

    @property
    def _settings(self) -> Path:
        return self._directory / "pgbouncer.ini"


def _program() -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # where Debian puts it, and ordinary users don't look
    if (program := shutil.which("pgbouncer", path=path)) is None:
        pytest.exit("there is no pgbouncer to test with; install it: apt-get install pgbouncer", returncode=1)
    return program


def _server(url: str) -> str:
    """Return the address as PgBouncer writes it, without the database, which the client names."""
    parts = {name: value for name, value in parse_dsn(url).items() if name in ("host", "port", "user", "password")}
    return " ".join(f"{name}={_quoted(value)}" for name, value in parts.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
