"""A database or a CV store restored from a backup beside the other one: no acknowledged CV is deleted.

`tests/s3/test_s3_restores.py` runs the same tests with an S3 store.
"""

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
import pytest
from obstore.store import from_url
from sqlalchemy import text
from typer.testing import CliRunner

from intake.audit import Actor
from intake.cli import app
from intake.cvs import deletions, orphans, store, store_marker
from intake.database import Database
from intake.database.schema import cv, cv_deletion, lead
from intake.errors import OrphanCollectionRefused, StorageUnavailable
from intake.leads import erasure
from intake.leads.data_subjects import DataSubject
from intake.metrics import Metrics
from intake.workers import WORKER_CONNECTIONS, Workers
from tests.conftest import Databases, Intake
from tests.intake.workers.test_mail import wait_for

AT_ONCE = timedelta(seconds=-10)
HOLD = "intake/hold"


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """The address of an empty store."""
    return (tmp_path / "CVs").as_uri()


@pytest.fixture
def firm(start: Callable[..., Intake], store_url: str) -> Intake:
    """A service with that store."""
    return start(cv_store=store_url)


@pytest.fixture
def restored(start: Callable[..., Intake], store_url: str) -> Callable[[str], Intake]:
    """A function that starts the service on another database beside the same store."""
    return lambda database_url: start(database_url=database_url, cv_store=store_url)


@pytest.fixture
def all_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every object counts as old enough to be collected."""
    monkeypatch.setattr(orphans, "AGE", AT_ONCE)


def submit(firm: Intake, count: int) -> list[int]:
    return [firm.submitted(CV=("cv.txt", b"a CV")) for _ in range(count)]


def mark(firm: Intake) -> None:
    assert firm.settings.cv_store
    store_marker.mark(firm.database, firm.settings.cv_store)


def collect(firm: Intake, *, adopt: bool = False) -> Counter[str]:
    assert firm.settings.cv_store
    return sum(orphans.collect(firm.database, firm.settings.cv_store, adopt=adopt), Counter[str]())


def stored(store_url: str) -> set[str]:
    """Return the keys of all that is in a store but its clock."""
    found = (one["path"] for batch in obstore.list(from_url(store_url)) for one in batch)
    return {key for key in found if key != "intake/clock"}


def contents(store_url: str) -> dict[str, bytes]:
    """Return what is under those keys; nothing may be deleted meanwhile."""
    return {key: bytes(obstore.get(from_url(store_url), key).bytes()) for key in stored(store_url)}


def cvs(store_url: str) -> set[str]:
    return {key for key in stored(store_url) if "/" not in key}


def in_trash(store_url: str) -> set[str]:
    return {key.removeprefix("trash/").removesuffix(".cv") for key in stored(store_url) if key.startswith("trash/")}


def markers(store_url: str) -> list[int]:
    """Return the numbers in the store's markers."""
    found = (one["path"] for batch in obstore.list(from_url(store_url), "intake/marker") for one in batch)
    return sorted(int(key.rpartition("/")[2]) for key in found)


def make_orphans(store_url: str, count: int) -> set[str]:
    keys = {token_hex(16) for _ in range(count)}
    for key in keys:
        obstore.put(from_url(store_url), key, b"x")
    return keys


def key_of(firm: Intake, lead_id: int) -> str:
    return str(
        firm.read(lambda c: c.scalar(cv.select().with_only_columns(cv.c.store_key).where(cv.c.lead_id == lead_id)))
    )


def download(firm: Intake, lead_id: int, user: int) -> Any:
    return firm.client.get(f"/internal/leads/{lead_id}/cv-download", headers=firm.bearer(user))


def run(firm: Intake, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("INTAKE_DATABASE_URL", firm.settings.database_url)
    monkeypatch.setenv("INTAKE_CV_STORE", str(firm.settings.cv_store))
    return CliRunner().invoke(app, ["collect-orphans", *arguments])


@pytest.mark.usefixtures("all_old")
def test_an_older_database_deletes_no_cv(
    firm: Intake,
    databases: Databases,
    restored: Callable[[str], Intake],
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit(firm, 3)
    older = databases.backup(firm.settings.database_url)
    submit(firm, 5)
    mark(firm)
    whole = cvs(store_url)
    wrong = restored(older)
    assert HOLD in stored(store_url), "it is there before the first submission"
    submit(wrong, 9)  # which hide that lead ids are given out again
    mark(wrong)
    assert markers(store_url) == [8], "it is neither raised nor replaced on a hold"
    for one in (wrong, firm):
        with pytest.raises(OrphanCollectionRefused, match="this database is older than the store"):
            collect(one)
    done = run(wrong, monkeypatch)
    assert (done.exit_code, type(done.exception)) == (1, OrphanCollectionRefused)
    assert whole <= cvs(store_url)
    assert not in_trash(store_url)
    done = run(wrong, monkeypatch, "--adopt")
    assert done.exit_code == 0
    assert "moved to trash: 5, deleted from trash: 0, moved back: 0; CVs missing from the store: 0" in done.output
    assert HOLD not in stored(store_url)
    assert markers(store_url) == [12]


@pytest.mark.usefixtures("all_old")
def test_the_worker_holds_too_and_says_so(
    firm: Intake,
    databases: Databases,
    restored: Callable[[str], Intake],
    store_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    submit(firm, 1)
    older = databases.backup(firm.settings.database_url)
    submit(firm, 2)
    mark(firm)
    whole = cvs(store_url)
    wrong = restored(older)
    database = Database(wrong.settings, connections=WORKER_CONNECTIONS)
    worker = Workers(wrong.settings, database, Metrics())
    worker.start()
    wait_for(lambda: "orphans are not collected: the CV store is on hold" in caplog.text)
    wait_for(lambda: "is on hold" in (worker.store_hold or ""))
    worker.stop()
    worker.join()
    database.close()
    assert cvs(store_url) == whole


@pytest.mark.usefixtures("all_old")
def test_an_older_store_is_counted_and_no_row_is_deleted(
    firm: Intake, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    submit(firm, 3)
    mark(firm)
    older = contents(store_url)
    submit(firm, 2)
    mark(firm)
    for key in contents(store_url).keys() - older.keys():
        obstore.delete(from_url(store_url), key)
    for key, content in older.items():
        obstore.put(from_url(store_url), key, content)
    assert collect(firm) == Counter(missing=2)
    assert "CVs missing from the CV store: 2" in caplog.text
    assert (firm.count(lead), firm.count(cv)) == (5, 5)
    mark(firm)
    assert markers(store_url)[-1] == 5
    assert HOLD not in stored(store_url)


@pytest.mark.usefixtures("all_old")
def test_both_older_match(
    firm: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(firm, 3)
    mark(firm)
    older, kept = databases.backup(firm.settings.database_url), contents(store_url)
    submit(firm, 4)
    mark(firm)
    for key in contents(store_url).keys() - kept.keys():
        obstore.delete(from_url(store_url), key)
    for key, content in kept.items():
        obstore.put(from_url(store_url), key, content)
    both = restored(older)
    mark(both)
    assert collect(both) == Counter()
    assert HOLD not in stored(store_url)
    assert len(cvs(store_url)) == 3


@pytest.mark.usefixtures("all_old")
def test_a_restore_between_two_markers_is_seen_by_the_second(
    firm: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(firm, 2)
    mark(firm)
    submit(firm, 2)
    older = databases.backup(firm.settings.database_url)
    submit(firm, 2)
    mark(firm)
    restored(older)
    assert HOLD in stored(store_url)


@pytest.mark.usefixtures("all_old")
def test_what_came_after_the_last_marker_is_in_trash_and_comes_back(
    firm: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(firm, 2)
    mark(firm)
    older = databases.backup(firm.settings.database_url)
    lost = submit(firm, 3)
    keys = {key_of(firm, lead_id) for lead_id in lost}
    wrong = restored(older)
    mark(wrong)
    assert HOLD not in stored(store_url), "nothing tells it from the right one"
    assert collect(wrong) == Counter(trashed=3)
    assert in_trash(store_url) == keys
    assert download(firm, lost[0], firm.user()).content == b"a CV", "the right database is back"
    assert collect(firm) == Counter(restored=3)
    assert keys <= cvs(store_url)
    assert not in_trash(store_url)


def test_the_hold_is_there_before_the_first_submission_even_if_the_store_was_away_at_the_start(
    firm: Intake,
    databases: Databases,
    restored: Callable[[str], Intake],
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit(firm, 1)
    older = databases.backup(firm.settings.database_url)
    submit(firm, 1)
    mark(firm)

    def away(*_arguments: Any) -> Any:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "keys", away)
        wrong = restored(older)
        assert wrong.submit().status_code == 503
        assert wrong.count(lead) == 1
    submit(wrong, 1)
    assert HOLD in stored(store_url)


@pytest.mark.usefixtures("all_old")
def test_another_database_holds_the_store_for_both(
    firm: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(firm, 2)
    mark(firm)
    other_url = databases.migrated_url()
    other = Database(firm.settings.__class__(database_url=other_url), connections=1)
    other.write(lambda c: c.execute(text("UPDATE installation SET database_id = :id"), {"id": os.urandom(32)}))
    other.close()
    stranger = restored(other_url)
    mark(stranger)
    assert markers(store_url) == [2]
    for one in (firm, stranger):
        with pytest.raises(OrphanCollectionRefused, match="the store belongs to another database"):
            collect(one)
    assert collect(firm, adopt=True) == Counter()
    mark(stranger)
    with pytest.raises(OrphanCollectionRefused, match="the store belongs to another database"):
        collect(firm)


@pytest.mark.usefixtures("all_old")
def test_a_store_of_an_earlier_version_is_bound_by_the_first_worker(firm: Intake, store_url: str) -> None:
    submit(firm, 2)
    assert markers(store_url) == []
    mark(firm)
    assert markers(store_url) == [2]
    erasure.erase(firm.database, DataSubject.parse("ada@example.com"), actor=Actor())
    mark(firm)
    assert markers(store_url) == [2], "the number is the sequence's and not that of the leads that are left"
    assert collect(firm) == Counter()


def test_of_many_workers_at_once_none_lowers_the_marker(
    firm: Intake, restored: Callable[[str], Intake], store_url: str
) -> None:
    ends, faults = threading.Event(), list[BaseException]()

    def keep_marking(one: Intake) -> None:
        while not ends.is_set():
            try:
                mark(one)
            except BaseException as error:  # noqa: BLE001 - it is what the test is about
                faults.append(error)

    several = [firm, *(restored(firm.settings.database_url) for _ in range(2))]
    threads = [threading.Thread(target=keep_marking, args=[one], daemon=True) for one in several]
    for thread in threads:
        thread.start()
    seen = [0]
    for _ in range(15):
        submit(firm, 1)
        seen.append(max(markers(store_url), default=0))
    ends.set()
    for thread in threads:
        thread.join()
    mark(firm)
    assert faults == []
    assert seen == sorted(seen)
    assert markers(store_url)[-1] == 15
    assert HOLD not in stored(store_url), "a number that rises meanwhile is no mismatch"


@pytest.mark.usefixtures("all_old")
def test_a_run_stops_above_twenty_orphans(firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(firm, 2)
    make_orphans(store_url, 21)
    with pytest.raises(OrphanCollectionRefused, match="21 of 23 objects in the CV store belong to no lead"):
        collect(firm)
    assert len(cvs(store_url)) == 23
    done = run(firm, monkeypatch, "--adopt")
    assert done.exit_code == 0
    assert len(in_trash(store_url)) == 21
    make_orphans(store_url, 21)
    with pytest.raises(OrphanCollectionRefused):
        collect(firm)


@pytest.mark.usefixtures("all_old")
def test_or_above_one_in_a_hundred(firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "MAX_ORPHANS", 0)
    monkeypatch.setattr(store, "BATCH", 30)
    keys = make_orphans(store_url, 100)
    submit(firm, 1)
    rows = [{"store_key": key, "store_url": store_url} for key in sorted(keys)]
    firm.write(lambda c: c.execute(cv_deletion.insert(), rows[1:]))  # an erasure explains all but one
    assert collect(firm) == Counter(trashed=1)
    make_orphans(store_url, 2)
    with pytest.raises(OrphanCollectionRefused, match="2 of 102 objects"):
        collect(firm)


def shifted(store_url: str, monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Have the store's clock, by which objects are dated, differ from the machine's own."""
    put = obstore.put
    folder = Path(unquote(urlsplit(store_url).path))

    def dated(opened: Any, key: str, *arguments: Any, **more: Any) -> Any:
        result = put(opened, key, *arguments, **more)
        moment = (datetime.now(UTC) + by).timestamp()
        os.utime(folder / key, (moment, moment))
        return result

    monkeypatch.setattr(obstore, "put", dated)


def collects_by_the_stores_clock(firm: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    store_url = str(firm.settings.cv_store)
    submit(firm, 1)
    young = make_orphans(store_url, 2)
    assert collect(firm) == Counter()
    assert young <= cvs(store_url)
    monkeypatch.setattr(orphans, "AGE", AT_ONCE)
    assert collect(firm) == Counter(trashed=2)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_off_by_a_day_makes_nothing_older(
    firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    shifted(store_url, monkeypatch, timedelta(days=days, minutes=days))
    collects_by_the_stores_clock(firm, monkeypatch)


@pytest.mark.usefixtures("all_old")
def test_trash_is_emptied_after_thirty_days(firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(firm, 1)
    make_orphans(store_url, 2)
    assert collect(firm) == Counter(trashed=2)
    assert collect(firm) == Counter(), "an upload's age is not its time in trash"
    monkeypatch.setattr(orphans, "TRASH_AGE", AT_ONCE)
    assert collect(firm) == Counter(deleted=2)
    assert len(cvs(store_url)) == 1
    assert not in_trash(store_url)


@pytest.mark.usefixtures("all_old")
def test_no_trash_is_emptied_on_a_hold(firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_orphans(store_url, 2)
    collect(firm)
    monkeypatch.setattr(orphans, "TRASH_AGE", AT_ONCE)
    obstore.put(from_url(store_url), HOLD, b"some reason\x1b[2J")
    with pytest.raises(OrphanCollectionRefused, match=r"some reason\[2J;"):
        collect(firm)
    assert len(in_trash(store_url)) == 2


@pytest.mark.usefixtures("all_old")
def test_a_hold_that_comes_during_a_run_ends_it(firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH", 4)
    make_orphans(store_url, 12)
    steps: Iterator[Counter[str]] = orphans.collect(firm.database, store_url)
    assert next(step for step in steps if step) == Counter(trashed=1)
    obstore.put(from_url(store_url), HOLD, b"another worker's")
    with pytest.raises(OrphanCollectionRefused):
        list(steps)
    assert len(in_trash(store_url)) <= 4, "no more than the batch that had begun"


@pytest.mark.usefixtures("all_old")
def test_what_else_is_under_the_prefix_is_left_alone(
    firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {"notes.txt", "trash/notes.txt", f"trash/{token_hex(16)}", f"other/{token_hex(16)}", "intake/notes"}
    for key in others:
        obstore.put(from_url(store_url), key, b"x")
    monkeypatch.setattr(orphans, "TRASH_AGE", AT_ONCE)
    submit(firm, 1)
    mark(firm)
    assert collect(firm) == Counter()
    assert others <= stored(store_url)


@pytest.mark.usefixtures("all_old")
def test_an_erasure_takes_an_object_out_of_trash(firm: Intake, store_url: str) -> None:
    [lead_id] = submit(firm, 1)
    key = key_of(firm, lead_id)
    store.move_to_trash(store.ObjectRef(store_url, key))
    assert in_trash(store_url) == {key}
    erased = erasure.erase(firm.database, DataSubject.parse("ada@example.com"), actor=Actor())
    assert (erased.cvs, erased.objects_left) == (1, 0)
    assert not in_trash(store_url)
    assert firm.count(cv_deletion) == 0


def test_on_a_hold_nothing_is_deleted_for_an_erasure_or_for_retention(
    firm: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(firm, 2)
    older = databases.backup(firm.settings.database_url)
    submit(firm, 2)
    mark(firm)
    wrong = restored(older)
    assert HOLD in stored(store_url)
    erased = erasure.erase(wrong.database, DataSubject.parse("ada@example.com"), actor=Actor())
    assert (erased.cvs, erased.objects_left) == (2, 2)
    with pytest.raises(StorageUnavailable, match="CVs of erased leads"):
        list(deletions.retry(wrong.database))
    assert len(cvs(store_url)) == 4
    collect(wrong, adopt=True)
    assert list(deletions.retry(wrong.database)) == [2]
    assert wrong.count(cv_deletion) == 0


def test_a_worker_that_stops_marks_the_leads_of_the_last_minute(firm: Intake, store_url: str) -> None:
    submit(firm, 1)
    database = Database(firm.settings, connections=WORKER_CONNECTIONS)
    worker = Workers(firm.settings, database, Metrics())
    worker.start()
    wait_for(lambda: markers(store_url) == [1])
    submit(firm, 2)
    worker.stop()
    worker.join()
    wait_for(lambda: max(markers(store_url)) == 3)
    database.close()


@pytest.mark.usefixtures("all_old")
def test_an_erasure_that_was_killed_before_its_deletions_is_finished(
    firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(firm, 2)

    def killed(_place: store.ObjectRef) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "delete_everywhere", killed)
    with pytest.raises(KeyboardInterrupt):
        erasure.erase(firm.database, DataSubject.parse("ada@example.com"), actor=Actor())
    monkeypatch.undo()
    monkeypatch.setattr(orphans, "AGE", AT_ONCE)
    assert (firm.count(lead), firm.count(cv_deletion), len(cvs(store_url))) == (0, 2, 2)
    assert collect(firm) == Counter(), "what an erasure explains is no orphan"
    assert list(deletions.retry(firm.database)) == [2]
    assert (firm.count(cv_deletion), cvs(store_url), in_trash(store_url)) == (0, set(), set())


def test_the_worker_deletes_what_an_erasure_could_not(
    firm: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(firm, 3)
    delete = store.delete_everywhere
    away = True

    def sometimes(place: store.ObjectRef) -> None:
        if away:
            raise StorageUnavailable("away")
        delete(place)

    monkeypatch.setattr(store, "delete_everywhere", sometimes)
    assert erasure.erase(firm.database, DataSubject.parse("ada@example.com"), actor=Actor()).objects_left == 3
    with pytest.raises(StorageUnavailable, match="CVs of erased leads that their store can't delete now: 3"):
        list(deletions.retry(firm.database))
    database = Database(firm.settings, connections=WORKER_CONNECTIONS)
    worker = Workers(firm.settings, database, Metrics())
    worker.start()
    away = False
    wait_for(lambda: not cvs(store_url) and firm.count(cv_deletion) == 0)
    worker.stop()
    worker.join()
    database.close()


@pytest.mark.usefixtures("all_old")
def test_the_worker_marks_the_store_before_it_collects(
    firm: Intake, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    submit(firm, 2)
    make_orphans(store_url, 1)
    metrics = Metrics()
    database = Database(firm.settings, connections=WORKER_CONNECTIONS)
    worker = Workers(firm.settings, database, metrics)
    marked_at_the_first_trashing: list[list[int]] = []
    move = store.move_to_trash

    def note(place: store.ObjectRef) -> None:
        marked_at_the_first_trashing.append(markers(store_url))
        move(place)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "move_to_trash", note)
        worker.start()
        wait_for(lambda: "orphans moved to trash: 1, deleted from trash: 0" in caplog.text)
        worker.stop()
        worker.join()
    database.close()
    assert marked_at_the_first_trashing == [[2]]
    assert b"intake_cv_objects_missing 0.0" in metrics.exposition()
