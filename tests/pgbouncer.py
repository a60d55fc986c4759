"""A temporary PgBouncer in transaction mode, between the service and its PostgreSQL server."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg2.extensions import parse_dsn

from tests.postgres import unprivileged_user, wait_until_ready

SERVER_CONNECTIONS = 5  # per database; fewer than a service opens, so that its transactions share them

# `any` maps every client to the configured user. Unused connections are closed soon, because the server limits them.
# Sessions are not reset between clients, so that a client finds any state left by another.
CONFIGURATION = """\
[databases]
postgres = {server}
* = {server}
[pgbouncer]
unix_socket_dir = {directory}
listen_port = 5432
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
server_reset_query =
server_login_retry = 1
server_idle_timeout = 2
"""


class PgBouncer:
    """A PgBouncer in front of the server at this URL, with a Unix socket in a temporary directory."""

    def __init__(self, server_url: str) -> None:
        self._program = _program()
        self._user = unprivileged_user()
        self._directory = Path(tempfile.mkdtemp(prefix="intake-pgbouncer-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self._directory / "log"
        self._configure(server_url)
        if self._user:
            for path in (self._directory, self._settings):
                shutil.chown(path, self._user)

    def start(self) -> None:
        """Start PgBouncer and wait until it accepts connections."""
        with self._log.open("ab") as log:
            command = [self._program, str(self._settings)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd="/")
        wait_until_ready(self.url("postgres"), self._process, self._log)

    def switch(self, server_url: str) -> None:
        """Lead all clients to another server."""
        self._configure(server_url)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        """Kill PgBouncer: it has nothing to finish, and its versions differ in their signals for an immediate stop."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
        shutil.rmtree(self._directory, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the URL of one of the server's databases through PgBouncer."""
        return f"postgresql://postgres@/{database}?host={quote(str(self._directory), safe='')}"

    def _configure(self, server_url: str) -> None:
        values = {"server": _server(server_url), "directory": self._directory, "connections": SERVER_CONNECTIONS}
        self._settings.write_text(CONFIGURATION.format(**values))

    @property
    def _settings(self) -> Path:
        return self._directory / "pgbouncer.ini"


def _program() -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # Debian's location, not on ordinary users' PATH
    if (program := shutil.which("pgbouncer", path=path)) is None:
        pytest.exit("pgbouncer is not installed; run: apt-get install pgbouncer", returncode=1)
    return program


def _server(url: str) -> str:
    """Return the server as a PgBouncer connection string, without the database, which the client names."""
    parts = {name: value for name, value in parse_dsn(url).items() if name in ("host", "port", "user", "password")}
    return " ".join(f"{name}={_quoted(value)}" for name, value in parts.items())


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
