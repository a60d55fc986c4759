"""Upper limit: a submission's rows and bytes written to the service's tables by the bare driver.

`python -m benchmarks.baselines.bare URL CV-BYTES SECONDS` prints the submissions per second, and the processor time of
each in milliseconds. PostgreSQL: one statement for all rows, COPY for the CV, one commit, on eight connections in eight
threads. SQLite: one writer, a commit each.
"""

import io
import sqlite3
import struct
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from random import Random
from secrets import token_hex

import psycopg2

THREADS = 8
ATTORNEY = "attorney@firm.example"
LEAD = (
    'INSERT INTO lead (email, f_name, l_name, "CV_name", state, created_at, state_since, email_key, f_name_key,'
    " l_name_key) VALUES ({email}, 'Ada', 'Lovelace', 'cv.pdf', 'PENDING', {now}, {now}, {email}, 'ada', 'lovelace')"
    " RETURNING id"
)
CV = "INSERT INTO cv (lead_id, size, sha256, detected_type) SELECT {id}, {size}, {sha256}, 'application/pdf'"
CONFIRMED = "INSERT INTO confirmed_mailbox (mailbox_key, lead_id, confirmed_at) SELECT {email}, {id}, {now}"
MAILS = (
    "INSERT INTO outbox_mail (lead_id, kind, recipient, message_id, created_at, state, attempts, next_attempt_at,"
    " queued_since) SELECT {id}, 'confirmation', {email}, {mail}, {now}, 'queued', 0, {now}, {now}"
    f" UNION ALL SELECT {{id}}, 'alert', '{ATTORNEY}', {{alert}}, {{now}}, 'queued', 0, {{now}}, {{now}}"
)
HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)

Submit = Callable[[dict[str, object]], None]


def main() -> None:
    url, size, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    worked, began = time.process_time(), time.perf_counter()
    rate = on_sqlite(url, size, seconds) if url.startswith("sqlite") else on_postgresql(url, size, seconds)
    print(rate, (time.process_time() - worked) * 1000 / (rate * (time.perf_counter() - began)))


def on_postgresql(url: str, size: int, seconds: float) -> float:
    """Return the submissions per second."""
    names = {name: f"%({name})s" for name in ("email", "size", "sha256", "mail", "alert")}
    rows = ["WITH new AS (", LEAD, "), facts AS (", f"{CV} FROM new", "), confirmed AS (", f"{CONFIRMED} FROM new"]
    mails = MAILS.replace(" UNION", " FROM new UNION") + " FROM new"
    statement = " ".join([*rows, "), queued AS (", mails, ") SELECT id FROM new"])
    statement = statement.format(**names, id="new.id", now="statement_timestamp()")
    content = Random(1).randbytes(size)

    def work(connection: "psycopg2.extensions.connection") -> Submit:
        def submit(values: dict[str, object]) -> None:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                head = HEAD + struct.pack("!hiqi", 2, 8, cursor.fetchone()[0], size)  # type: ignore[index]
                cursor.copy_expert(
                    "COPY cv_content (lead_id, content) FROM STDIN (FORMAT binary)",
                    io.BytesIO(b"".join((head, content, b"\xff\xff"))),
                    size=2**18,
                )

        return submit

    connections = [psycopg2.connect(url.replace("+psycopg2", "")) for _ in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        done = sum(threads.map(lambda one: repeated(work(one), size, began + seconds), connections))
        return done / (time.perf_counter() - began)


def on_sqlite(url: str, size: int, seconds: float) -> float:
    """Return the submissions per second."""
    now = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
    names = {name: f":{name}" for name in ("id", "email", "size", "sha256", "mail", "alert")}
    lead, *others = (text.format(**names, now=now) for text in (LEAD, CV, CONFIRMED, MAILS))
    content = Random(1).randbytes(size)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

        def submit(values: dict[str, object]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            given = {**values, "id": connection.execute(lead, values).fetchone()[0]}
            for statement in others:
                connection.execute(statement, given)
            connection.execute("INSERT INTO cv_content (lead_id, content) VALUES (?, ?)", (given["id"], content))
            connection.execute("COMMIT")

        began = time.perf_counter()
        return repeated(submit, size, began + seconds) / (time.perf_counter() - began)


def repeated(submit: Submit, size: int, until: float) -> int:
    """Submit until `until` and return the number of submissions."""
    for number, values in enumerate(submissions(size), start=1):
        submit(values)
        if time.perf_counter() >= until:
            return number
    raise AssertionError("submissions never end")


def submissions(size: int) -> Iterator[dict[str, object]]:
    """Yield the values that differ between submissions."""
    series = token_hex(8)
    for number in count():
        name = f"{series}.{number}"
        yield {
            "email": f"{name}@example.com",
            "size": size,
            "sha256": "0" * 64,
            "mail": f"<c{name}@firm.example>",
            "alert": f"<a{name}@firm.example>",
        }


if __name__ == "__main__":
    main()
