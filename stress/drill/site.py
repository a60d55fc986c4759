"""The deployment of the drill: PostgreSQL with a standby, PgBouncer, Redis, nginx, four replicas and two workers."""

import os
import signal
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import psycopg2

from tests.conftest import SECRET
from tests.pgbouncer import PgBouncer
from tests.postgres import PostgresServer, database_url, maintenance
from tests.proxy.programs import Proxy, documented_nginx
from tests.redis.test_redis_store import RedisServer
from tests.system.programs import Service, clean_environment, free_port
from tests.system.relay import Relay
from tests.upgrade.versions import Version

REPLICAS, WORKERS = 4, 2
DATABASE = "postgres"
LAG_S = 2.0


class Site:
    """All programs of the deployment; they end together.

    Replicas, workers and commands are of the version in `tree`, until `upgrade`.
    """

    def __init__(self, tree: Path, *, drain_s: float, grace_s: float) -> None:
        self._stack = ExitStack()
        self._stops_within_s = drain_s + grace_s + 5
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="intake-drill-")))
        self.primary = self._server()
        self.primary.start(fsync="on")
        self.standby = self.new_standby()
        self.pooler = PgBouncer(self.primary.url(DATABASE))
        self._stack.callback(self.pooler.close)
        self.pooler.start()
        self.redis = RedisServer(self.directory)
        self.redis.start()
        self._stack.callback(self.redis.kill)
        self.relay = Relay()
        self.relay.open()
        self._stack.callback(self.relay.close)
        self.url = database_url(self.pooler.url(DATABASE), DATABASE)
        self.environment = clean_environment(
            self.directory,
            INTAKE_DATABASE_URL=self.url,
            INTAKE_JWT_SECRET=SECRET,
            INTAKE_LIMITS_STORE=self.redis.url,
            INTAKE_SMTP_URL=f"smtp://127.0.0.1:{self.relay.port}?starttls=off",
            INTAKE_ATTORNEY_EMAILS="attorney@firm.example",
            INTAKE_ALERT_INTERVAL="0",
            INTAKE_TRUSTED_PROXIES="127.0.0.1",
            INTAKE_DRAIN=f"{drain_s:g}s",
            INTAKE_SHUTDOWN_GRACE=f"{grace_s:g}s",
            INTAKE_CV_STORE=f"file://{self.directory}/cvs",
            INTAKE_MIN_BODY_RATE="1",
        )
        self.upgrade(tree)
        self.command("migrate")
        self._ports = [free_port() for _ in range(REPLICAS)]
        self.replicas = [self._replica(number) for number in range(REPLICAS)]
        self._workers = [self._start("worker") for _ in range(WORKERS)]
        self.proxy: Proxy = self._stack.enter_context(documented_nginx(*(f"127.0.0.1:{port}" for port in self._ports)))

    @property
    def direct_url(self) -> str:
        """The URL of the primary's database without PgBouncer."""
        return database_url(self.primary.url(DATABASE), DATABASE)

    def upgrade(self, tree: Path) -> None:
        """Use another version for all programs that are started from now on."""
        self._version = Version(tree, self.environment, self.directory)

    def service(self, **settings: str) -> Service:
        """Start a service on a free port, with some other settings."""
        return self._start("serve", "--no-worker", **settings)

    def new_standby(self) -> PostgresServer:
        """Return a started standby of the primary."""
        standby = self._server(self.primary)
        standby.start(fsync="on", hot_standby="on")
        return standby

    def restart_replicas(self) -> None:
        """Restart all replicas, each once the one before runs again."""
        for number, replica in enumerate(self.replicas):
            replica.stop(within_s=self._stops_within_s)
            self.start_replica(number)

    def restart_workers(self) -> None:
        """Restart all workers, each once the one before runs again."""
        for number, worker in enumerate(self._workers):
            worker.stop(within_s=self._stops_within_s)
            self._workers[number] = self._start("worker")

    def start_replica(self, number: int) -> None:
        """Start a replica that has ended."""
        self.replicas[number] = self._replica(number)

    def fail_over(self) -> tuple[PostgresServer, float]:
        """Kill the primary, promote the standby, and lead PgBouncer to it; return the old primary and the time.

        For LAG_S before, the standby receives nothing, as over a slow network.
        """
        old, self.primary = self.primary, self.standby
        with maintenance(self.primary.url(DATABASE)) as found:
            found.execute("SELECT pid FROM pg_stat_wal_receiver")
            [receiver] = found.fetchall()[0]
        os.kill(receiver, signal.SIGSTOP)
        time.sleep(LAG_S)
        old.kill()
        killed_at = time.monotonic()
        os.kill(receiver, signal.SIGCONT)
        self.primary.promote()
        self.pooler.switch(self.primary.url(DATABASE))
        return old, killed_at

    def command(self, *arguments: str, **settings: str) -> None:
        """Run a command of `intake` to its end. Raises AssertionError if it fails."""
        self._version.run(*arguments, **settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def _server(self, primary: PostgresServer | None = None) -> PostgresServer:
        server = PostgresServer(primary=primary)
        self._stack.callback(server.close)
        return server

    def _replica(self, number: int) -> Service:
        return self._start("serve", "--no-worker", "--port", str(self._ports[number]))

    def _start(self, *arguments: str, **settings: str) -> Service:
        service = self._version.start(*arguments, **settings)
        self._stack.callback(service.__exit__)
        self._stack.callback(service.process.kill)
        return service.__enter__()


def leads(url: str) -> dict[int, str]:
    """Return the address of each lead in a database by id."""
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection, connection.cursor() as found:
        found.execute("SELECT id, email FROM lead")
        return dict(found.fetchall())
