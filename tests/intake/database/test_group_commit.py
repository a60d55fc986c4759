"""Group commit on SQLite: waiting writes share a transaction, and run alone after an error."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, select

from intake.database import Database, engine, group_commit
from intake.database.group_commit import GroupCommit
from intake.database.schema import cv, cv_content, lead, outbox_mail
from intake.errors import DatabaseUnavailable
from intake.settings import Settings
from tests.conftest import Databases, Intake
from tests.intake.database.test_unavailable import locked

CV_BYTES = 100_000


@pytest.fixture
def database(databases: Databases) -> Any:
    settings = Settings(database_url=databases.migrated_url())
    opened = Database(settings, connections=8)
    yield opened
    opened.close()


def run_grouped(database: Database, works: list[Callable[[Connection], Any]]) -> list[Future[Any]]:
    """Queue grouped work behind a slow write, and return the results."""
    with ThreadPoolExecutor(len(works) + 1) as pool:

        def slow(connection: Connection) -> None:
            connection.exec_driver_sql("SELECT 1")
            time.sleep(0.5)

        first = pool.submit(database.write, slow)
        time.sleep(0.2)
        results = [pool.submit(database.write_grouped, work) for work in works]
        first.result()
    return results


@contextmanager
def locked_turn(write: Callable[[Callable[[Any], None]], None]) -> Iterator[None]:
    """Write until the end of the block."""
    entered, release = threading.Event(), threading.Event()

    def work(_connection: object) -> None:
        entered.set()
        assert release.wait(10)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(write, work)
        assert entered.wait(5)
        try:
            yield
        finally:
            release.set()
        held.result()


def add(name: str, *, fails: bool = False) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        row = {"email": name, "f_name": "A", "l_name": "B", "CV_name": "c", "state": "PENDING"}
        keys = {"email_key": name, "f_name_key": "a", "l_name_key": "b"}
        connection.execute(lead.insert().values(**row, **keys))
        if fails:
            raise ZeroDivisionError(name)
        return id(connection)

    return work


def names(database: Database) -> list[str]:
    return sorted(database.read(lambda c: list(c.scalars(select(lead.c.email)))))


def test_waiting_writes_share_a_transaction_on_sqlite(database: Database) -> None:
    results = run_grouped(database, [add(f"{n}") for n in range(6)])
    is_sqlite = database.read(lambda c: c.dialect.name) == "sqlite"
    transactions = {result.result() for result in results}
    assert len(transactions) == 1 if is_sqlite else len(transactions) > 1
    assert names(database) == [f"{n}" for n in range(6)]


def test_a_failed_write_does_not_affect_the_others(database: Database) -> None:
    results = run_grouped(database, [add(f"{n}", fails=n in (1, 4)) for n in range(6)])
    for n, result in enumerate(results):
        if n in (1, 4):
            with pytest.raises(ZeroDivisionError, match=f"^{n}$"):
                result.result()
        else:
            assert result.result()
    assert names(database) == ["0", "2", "3", "5"]


def test_ungrouped_writes_run_once_in_their_own_thread_and_transaction(database: Database) -> None:
    ran = list[str]()

    def failing(connection: Connection) -> None:
        ran.append(threading.current_thread().name)
        add("lost")(connection)
        raise ZeroDivisionError

    def alone() -> None:
        name = threading.current_thread().name
        with pytest.raises(ZeroDivisionError):
            database.write(failing)
        assert ran.count(name) == 1

    threads = [threading.Thread(target=alone, name=f"alone-{number}") for number in range(4)]
    for thread in threads:
        thread.start()
    results = run_grouped(database, [add(f"{n}") for n in range(4)])
    for thread in threads:
        thread.join()
    assert all(result.result() for result in results)
    assert sorted(ran) == [f"alone-{number}" for number in range(4)]
    assert names(database) == ["0", "1", "2", "3"]


def content(n: int) -> bytes:
    return bytes([n]) * CV_BYTES


def page_count(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_database_that_fills_up_loses_no_acknowledged_lead(
    start: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = start()
    room = roomy.read(page_count) + 4 * CV_BYTES // 4096  # for three CVs and their indexes
    monkeypatch.setattr(engine, "PRAGMAS", (*engine.PRAGMAS, f"max_page_count={room}"))
    tight = start(database_url=roomy.settings.database_url)
    with ThreadPoolExecutor(8) as pool:
        with locked(tight):
            answers = [pool.submit(tight.submit, email=f"{n}@example.com", CV=("c", content(n))) for n in range(8)]
            time.sleep(1)
        statuses = [answer.result().status_code for answer in answers]
    query = select(lead.c.email, cv_content.c.content).join(cv_content, lead.c.id == cv_content.c.lead_id)
    saved = roomy.read(lambda c: {row.email: row.content for row in c.execute(query)})
    assert saved == {f"{n}@example.com": content(n) for n in range(8) if statuses[n] == 204}
    assert set(statuses) == {204, 503}
    assert roomy.count(lead) == roomy.count(cv) == len(saved)
    assert roomy.count(outbox_mail) == 3 * len(saved)


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_committed_write_does_not_wait_for_the_next_one(database: Database) -> None:
    queued, release = threading.Event(), threading.Event()

    def first(connection: Connection) -> None:
        add("first")(connection)
        assert queued.wait(5)

    def blocked(connection: Connection) -> None:
        add("blocked")(connection)
        assert release.wait(5)

    with ThreadPoolExecutor(4) as pool:
        with locked_turn(database.write):
            committed = [pool.submit(database.write_grouped, work) for work in (first, add("second"), add("third"))]
            time.sleep(0.2)
        time.sleep(0.2)
        last = pool.submit(database.write_grouped, blocked)
        time.sleep(0.2)
        queued.set()
        try:
            for result in committed:
                result.result(timeout=3)
            assert not last.done()
        finally:
            release.set()
    assert names(database) == ["blocked", "first", "second", "third"]


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_each_write_has_its_own_time_limit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "TURN_TIMEOUT_S", 1.0)
    with ThreadPoolExecutor(2) as pool:
        with locked_turn(database.write):
            early = pool.submit(database.write_grouped, add("early"))
            time.sleep(0.6)
            late = pool.submit(database.write_grouped, add("late"))
            with pytest.raises(DatabaseUnavailable, match="too many changes are waiting"):
                early.result()
        late.result()
    assert names(database) == ["late"]


def test_after_an_error_the_rest_of_a_group_does_not_wait_for_another_process() -> None:
    began = list[str]()

    def transaction(work: Callable[[Any], Any]) -> Any:
        if len(began) == 2:
            raise DatabaseUnavailable("another process has the file")
        began.append("transaction")
        return work(None)

    def fail(_connection: object) -> None:
        raise ZeroDivisionError

    writes = GroupCommit(transaction)
    with ThreadPoolExecutor(3) as pool, locked_turn(writes.write_alone):
        group = [pool.submit(writes.write, fail) for _ in range(3)]
        time.sleep(0.2)
    assert {type(result.exception()) for result in group} == {DatabaseUnavailable}
    assert len(began) == 2  # the held one, and the group
