"""5,000 leads moved by `leadctl list -o ids | leadctl set-state -`, beside the bare SQL, and beside one PATCH each.

The bare side is one transaction of two statements in the driver: the history rows, then the leads. Rounds alternate.
"""

import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psycopg2

from benchmarks.hanging_relay import database
from intake.database import Database
from intake.database.migrations import migrate
from intake.settings import Settings
from intake.users import accounts, logins
from intake.users.tokens import TokenKeys
from tests.conftest import SECRET
from tests.system.programs import LEADCTL, Service, clean_environment

LEADS = 5_000
PATCHED = 200
ROUNDS = 5
PASSWORD = "a password for the benchmark"
EVENTS = (
    "INSERT INTO lead_event (lead_id, user_id, at, from_state, to_state) SELECT id, 1, {now}, state, '{to}' FROM lead"
)
MOVE = (
    "UPDATE lead SET state = '{to}', state_since = {now}, last_event_id ="
    " (SELECT max(id) FROM lead_event WHERE lead_id = lead.id)"
)
FILL = (
    'INSERT INTO lead (email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key,'
    " l_name_key) VALUES ('a@b.c', 'A', 'B', 'cv', 'PENDING', {now}, {now}, 'a@b.c', 'a', 'b')"
)


def main() -> None:
    for kind in ("sqlite", "postgresql"):
        with firm(kind) as (service, url, token):
            rounds = [measured(service, url, token, number) for number in range(ROUNDS)]
            report(kind, rounds)


@contextmanager
def firm(kind: str) -> Iterator[tuple[Service, str, str]]:
    with tempfile.TemporaryDirectory() as directory, database(kind, Path(directory)) as url:
        settings = Settings(database_url=url, jwt_secrets=(SECRET,))
        migrate(settings)
        opened = Database(settings, connections=1)
        accounts.create(opened, username="ada", password=PASSWORD, role=None)
        token = logins.log_in(opened, TokenKeys.from_settings(settings), username="ada", password=PASSWORD)
        opened.close()
        run(url, *[FILL] * LEADS)
        environment = clean_environment(Path(directory), INTAKE_DATABASE_URL=url, INTAKE_JWT_SECRET=SECRET)
        with Service(environment, Path(directory), "serve", "--no-worker") as service:
            yield service, url, token


def run(url: str, *statements: str, to: str = "") -> None:
    """Run statements in one transaction of the bare driver."""
    is_sqlite = url.startswith("sqlite")
    now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')" if is_sqlite else "now()"
    connection = (
        sqlite3.connect(url.removeprefix("sqlite:///")) if is_sqlite else psycopg2.connect(url.replace("+psycopg2", ""))
    )
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement.format(now=now, to=to))
    connection.commit()
    connection.close()


def measured(service: Service, url: str, token: str, number: int) -> tuple[float, float, float]:
    """Return the seconds of a round: bare, through the pipe, and by PATCH (for as many)."""
    first, second, third = (("ENGAGED", "DECLINED", "PENDING") * 2)[number % 3 :][:3]
    bare = timed(lambda: run(url, EVENTS, MOVE, to=first))
    pipe = f"'{LEADCTL}' list -o ids | '{LEADCTL}' set-state {second} -"
    environment = clean_environment(Path("/nonexistent"), LEADCTL_URL=service.url, LEADCTL_TOKEN=token)
    piped = timed(lambda: subprocess.run(["bash", "-c", pipe], env=environment, check=True, capture_output=True))
    with httpx2.Client(base_url=service.url, headers={"Authorization": f"Bearer {token}"}) as client:
        patched = timed(lambda: patch(client, third))
    return bare, piped, patched * LEADS / PATCHED


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def patch(client: httpx2.Client, state: str) -> None:
    for lead_id in range(1, PATCHED + 1):
        assert client.patch(f"/internal/leads/{lead_id}", json={"status": state}).status_code == 204


def report(kind: str, rounds: list[tuple[float, float, float]]) -> None:
    bare, piped, patched = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratios = [one[1] / one[0] for one in rounds]
    print(f"{kind}: bare {bare:.3f} s, list | set-state {piped:.3f} s, one PATCH each {patched:.1f} s (from {PATCHED})")
    spread = f"from {min(ratios):.1f} to {max(ratios):.1f}; the goal is 5"
    print(
        f"{kind}: {statistics.median(ratios):.1f}x the bare SQL ({spread}), {patched / piped:.0f}x faster than PATCHes"
    )


if __name__ == "__main__":
    main()
