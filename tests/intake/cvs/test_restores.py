"""Restores of a database or of a CV store from a backup: no acknowledged CV is deleted.

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
from tests.conftest import Databases, Intake, running_workers
from tests.intake.workers.test_mail import wait_for

AT_ONCE = timedelta(seconds=-10)
HOLD = "intake/hold"


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """The URL of an empty store."""
    return (tmp_path / "CVs").as_uri()


@pytest.fixture
def intake(start: Callable[..., Intake], store_url: str) -> Intake:
    """A service with that store."""
    return start(cv_store=store_url)


@pytest.fixture
def restored(start: Callable[..., Intake], store_url: str) -> Callable[[str], Intake]:
    """A function that starts the service on another database with the same store."""
    return lambda database_url: start(database_url=database_url, cv_store=store_url)


@pytest.fixture
def all_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every object as old enough to be collected."""
    monkeypatch.setattr(orphans, "AGE", AT_ONCE)


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renew the nonce with every marker, as if a minute had passed between them."""
    monkeypatch.setattr(store_marker, "RENEW_NONCE_S", -1)


def submit(intake: Intake, count: int) -> list[int]:
    return [intake.submitted(CV=("cv.txt", b"a CV")) for _ in range(count)]


def mark(intake: Intake) -> None:
    assert intake.settings.cv_store
    store_marker.mark(intake.database, intake.settings.cv_store)


def copied_before_two_markers(intake: Intake, databases: Databases) -> str:
    """Submit leads, and return the URL of a copy of the database that lacks the nonces of the last two markers."""
    submit(intake, 2)
    mark(intake)
    url = databases.backup(intake.settings.database_url)
    mark(intake)
    mark(intake)
    return url


def collect(intake: Intake, *, adopt: bool = False) -> Counter[str]:
    assert intake.settings.cv_store
    return sum(orphans.collect(intake.database, intake.settings.cv_store, adopt=adopt), Counter[str]())


def stored(store_url: str) -> set[str]:
    """Return the keys of all objects in a store, except its clock."""
    found = (entry["path"] for batch in obstore.list(from_url(store_url)) for entry in batch)
    return {key for key in found if key != "intake/clock"}


def contents(store_url: str) -> dict[str, bytes]:
    """Return all objects by key; nothing may be deleted meanwhile."""
    return {key: bytes(obstore.get(from_url(store_url), key).bytes()) for key in stored(store_url)}


def cvs(store_url: str) -> set[str]:
    return {key for key in stored(store_url) if "/" not in key}


def in_trash(store_url: str) -> set[str]:
    return {key.removeprefix("trash/").removesuffix(".cv") for key in stored(store_url) if key.startswith("trash/")}


def markers(store_url: str) -> list[int]:
    """Return the numbers in the store's markers."""
    found = (entry["path"] for batch in obstore.list(from_url(store_url), "intake/marker") for entry in batch)
    return sorted({int(key.split("/")[3]) for key in found})


def make_orphans(store_url: str, count: int) -> set[str]:
    keys = {token_hex(16) for _ in range(count)}
    for key in keys:
        obstore.put(from_url(store_url), key, b"x")
    return keys


def key_of(intake: Intake, lead_id: int) -> str:
    return str(
        intake.read(lambda c: c.scalar(cv.select().with_only_columns(cv.c.store_key).where(cv.c.lead_id == lead_id)))
    )


def download(intake: Intake, lead_id: int, user: int) -> Any:
    return intake.client.get(f"/internal/leads/{lead_id}/cv-download", headers=intake.bearer(user))


def run(intake: Intake, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("INTAKE_DATABASE_URL", intake.settings.database_url)
    monkeypatch.setenv("INTAKE_CV_STORE", str(intake.settings.cv_store))
    return CliRunner().invoke(app, ["collect-orphans", *arguments])


@pytest.mark.usefixtures("all_old")
def test_an_older_database_deletes_no_cv(
    intake: Intake,
    databases: Databases,
    restored: Callable[[str], Intake],
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit(intake, 3)
    older = databases.backup(intake.settings.database_url)
    submit(intake, 5)
    mark(intake)
    before = cvs(store_url)
    outdated = restored(older)
    assert HOLD in stored(store_url), "the hold precedes the first submission"
    submit(outdated, 9)  # more leads than were lost, so that the reuse of ids is not visible
    mark(outdated)
    assert markers(store_url) == [8], "the marker does not change on hold"
    for service in (outdated, intake):
        with pytest.raises(OrphanCollectionRefused, match="this database is older than the store"):
            collect(service)
    done = run(outdated, monkeypatch)
    assert (done.exit_code, type(done.exception)) == (1, OrphanCollectionRefused)
    assert before <= cvs(store_url)
    assert not in_trash(store_url)
    done = run(outdated, monkeypatch, "--adopt")
    assert done.exit_code == 0
    assert "moved to trash: 5, deleted from trash: 0, moved back: 0; CVs missing from the store: 0" in done.output
    assert HOLD not in stored(store_url)
    assert markers(store_url) == [12]


@pytest.mark.usefixtures("all_old")
def test_the_worker_reports_a_hold_and_collects_nothing(
    intake: Intake,
    databases: Databases,
    restored: Callable[[str], Intake],
    store_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    submit(intake, 1)
    older = databases.backup(intake.settings.database_url)
    submit(intake, 2)
    mark(intake)
    before = cvs(store_url)
    outdated = restored(older)
    with running_workers(outdated) as workers:
        wait_for(lambda: "orphans are not collected: the CV store is on hold" in caplog.text)
        wait_for(lambda: "is on hold" in str(workers.errors["cv_store"]))
    assert cvs(store_url) == before


@pytest.mark.usefixtures("all_old")
def test_an_older_store_has_missing_cvs_and_no_row_is_deleted(
    intake: Intake, store_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(intake, 3)
    mark(intake)
    older = contents(store_url)
    submit(intake, 2)
    mark(intake)
    for key in contents(store_url).keys() - older.keys():
        obstore.delete(from_url(store_url), key)
    for key, content in older.items():
        obstore.put(from_url(store_url), key, content)
    assert collect(intake) == Counter(missing=2)
    done = run(intake, monkeypatch)
    assert (done.exit_code, "CVs missing from the store: 2" in done.output) == (1, True)
    assert "CVs missing from the CV store: 2" in caplog.text
    assert (intake.count(lead), intake.count(cv)) == (5, 5)
    mark(intake)
    assert markers(store_url)[-1] == 5
    assert HOLD not in stored(store_url)


def test_adopt_counts_missing_cvs_of_young_leads(
    intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(intake, 2)
    mark(intake)
    [erased, _] = cvs(store_url)
    obstore.delete(from_url(store_url), erased)
    assert "CVs missing from the store: 0" in run(intake, monkeypatch).output, "a submission may be in progress"
    done = run(intake, monkeypatch, "--adopt")
    assert (done.exit_code, "CVs missing from the store: 1" in done.output) == (1, True)


@pytest.mark.usefixtures("all_old")
def test_an_older_database_and_an_older_store_match(
    intake: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(intake, 3)
    mark(intake)
    older, stored_then = databases.backup(intake.settings.database_url), contents(store_url)
    submit(intake, 4)
    mark(intake)
    for key in contents(store_url).keys() - stored_then.keys():
        obstore.delete(from_url(store_url), key)
    for key, content in stored_then.items():
        obstore.put(from_url(store_url), key, content)
    both = restored(older)
    mark(both)
    assert collect(both) == Counter()
    assert HOLD not in stored(store_url)
    assert len(cvs(store_url)) == 3


@pytest.mark.usefixtures("all_old")
def test_a_restore_between_two_markers_is_detected_by_the_second(
    intake: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(intake, 2)
    mark(intake)
    submit(intake, 2)
    older = databases.backup(intake.settings.database_url)
    submit(intake, 2)
    mark(intake)
    restored(older)
    assert HOLD in stored(store_url)


@pytest.mark.usefixtures("all_old")
def test_cvs_after_the_last_marker_are_trashed_and_restored(
    intake: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(intake, 2)
    mark(intake)
    older = databases.backup(intake.settings.database_url)
    lost = submit(intake, 3)
    keys = {key_of(intake, lead_id) for lead_id in lost}
    outdated = restored(older)
    mark(outdated)
    assert HOLD not in stored(store_url), "it cannot be distinguished from the original"
    assert collect(outdated) == Counter(trashed=3)
    assert in_trash(store_url) == keys
    assert download(intake, lost[0], intake.user()).content == b"a CV", "the original database reads from trash"
    assert collect(intake) == Counter(restored=3)
    assert keys <= cvs(store_url)
    assert not in_trash(store_url)


def test_a_hold_precedes_the_first_submission_after_an_outage(
    intake: Intake,
    databases: Databases,
    restored: Callable[[str], Intake],
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    submit(intake, 1)
    older = databases.backup(intake.settings.database_url)
    submit(intake, 1)
    mark(intake)

    def unavailable(*_arguments: Any) -> Any:
        raise StorageUnavailable("unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(store, "keys", unavailable)
        outdated = restored(older)
        assert outdated.submit().status_code == 503
        assert outdated.count(lead) == 1
    submit(outdated, 1)
    assert HOLD in stored(store_url)


@pytest.mark.usefixtures("all_old")
def test_another_database_puts_the_store_on_hold_for_both(
    intake: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(intake, 2)
    mark(intake)
    other_url = databases.migrated_url()
    other = Database(intake.settings.__class__(database_url=other_url), connections=1)
    other.write(lambda c: c.execute(text("UPDATE installation SET database_id = :id"), {"id": os.urandom(32)}))
    other.close()
    foreign = restored(other_url)
    mark(foreign)
    assert markers(store_url) == [2]
    for service in (intake, foreign):
        with pytest.raises(OrphanCollectionRefused, match="the store belongs to another database"):
            collect(service)
    assert collect(intake, adopt=True) == Counter()
    mark(foreign)
    with pytest.raises(OrphanCollectionRefused, match="the store belongs to another database"):
        collect(intake)


@pytest.mark.usefixtures("all_old", "renewed")
def test_a_copy_beside_the_original_is_on_hold_without_newer_leads(
    intake: Intake,
    databases: Databases,
    restored: Callable[[str], Intake],
    store_url: str,
) -> None:
    copied = copied_before_two_markers(intake, databases)
    before = cvs(store_url)
    staging = restored(copied)
    assert HOLD in stored(store_url)
    erasure.erase(staging.database, DataSubject.parse("ada@example.com"), actor=Actor())
    with pytest.raises(OrphanCollectionRefused, match="a copy of this database uses the store"):
        collect(staging)
    assert cvs(store_url) == before


@pytest.mark.usefixtures("all_old", "renewed")
def test_a_copy_that_starts_at_once_is_detected_by_later_markers(
    intake: Intake,
    databases: Databases,
    restored: Callable[[str], Intake],
    store_url: str,
) -> None:
    submit(intake, 2)
    mark(intake)
    staging = restored(databases.backup(intake.settings.database_url))
    for _ in range(3):
        mark(staging)
        mark(intake)
    assert HOLD in stored(store_url)


@pytest.mark.usefixtures("renewed")
def test_a_copy_with_its_own_store_does_not_delete_from_the_originals(
    intake: Intake,
    databases: Databases,
    start: Callable[..., Intake],
    store_url: str,
    tmp_path: Path,
) -> None:
    copied = copied_before_two_markers(intake, databases)
    before = contents(store_url)
    own = (tmp_path / "copy").as_uri()
    store.prepare(own)
    for key, content in before.items():
        obstore.put(from_url(own), key, content)
    staging = start(database_url=copied, cv_store=own)
    store_marker.mark(staging.database, staging.settings.cv_store, store_marker.stores_in_use(staging.database))
    done = erasure.erase(staging.database, DataSubject.parse("ada@example.com"), actor=Actor())
    assert done.objects_left == 2, "its rows still have the URL of the original's store"
    assert contents(store_url) == before
    assert HOLD not in stored(store_url)


@pytest.mark.usefixtures("renewed")
def test_a_store_of_an_earlier_setting_still_belongs_to_the_database(
    intake: Intake, start: Callable[..., Intake], store_url: str, tmp_path: Path
) -> None:
    submit(intake, 1)
    mark(intake)
    moved = start(database_url=intake.settings.database_url, cv_store=(tmp_path / "new").as_uri())
    assert store_marker.stores_in_use(moved.database) == {store_url}
    for _ in range(4):
        store_marker.mark(moved.database, moved.settings.cv_store, {store_url})
    assert collect(intake) == Counter()
    assert erasure.erase(moved.database, DataSubject.parse("ada@example.com"), actor=Actor()).objects_left == 0
    assert cvs(store_url) == set()


@pytest.mark.usefixtures("all_old", "renewed")
def test_only_the_markers_of_the_last_minutes_remain(intake: Intake, store_url: str) -> None:
    for _ in range(6):
        submit(intake, 1)
        mark(intake)
    assert len([key for key in stored(store_url) if key.startswith("intake/marker/")]) <= 3
    assert HOLD not in stored(store_url)


@pytest.mark.usefixtures("all_old")
def test_the_first_worker_marks_a_store_of_an_earlier_version(intake: Intake, store_url: str) -> None:
    submit(intake, 2)
    assert markers(store_url) == []
    mark(intake)
    assert markers(store_url) == [2]
    erasure.erase(intake.database, DataSubject.parse("ada@example.com"), actor=Actor())
    mark(intake)
    assert markers(store_url) == [2], "the marker is the highest id ever, not the number of leads"
    assert collect(intake) == Counter()


def test_concurrent_workers_never_lower_the_marker(
    intake: Intake, restored: Callable[[str], Intake], store_url: str
) -> None:
    stop, errors = threading.Event(), list[BaseException]()

    def mark_repeatedly(service: Intake) -> None:
        while not stop.is_set():
            try:
                mark(service)
            except StorageUnavailable:  # another worker deleted a marker during the listing; maintenance retries
                continue
            except BaseException as error:  # noqa: BLE001 - a thread's error must fail the test
                errors.append(error)

    services = [intake, *(restored(intake.settings.database_url) for _ in range(2))]
    threads = [threading.Thread(target=mark_repeatedly, args=[service], daemon=True) for service in services]
    for thread in threads:
        thread.start()
    seen = [0]
    for _ in range(15):
        submit(intake, 1)
        seen.append(max(markers(store_url), default=0))
    stop.set()
    for thread in threads:
        thread.join()
    mark(intake)
    assert errors == []
    assert seen == sorted(seen)
    assert markers(store_url)[-1] == 15
    assert HOLD not in stored(store_url), "a marker that rises meanwhile is not a mismatch"


@pytest.mark.usefixtures("all_old")
def test_collection_is_refused_above_twenty_orphans(
    intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(intake, 2)
    make_orphans(store_url, 21)
    with pytest.raises(OrphanCollectionRefused, match="21 of 23 objects in the CV store belong to no lead"):
        collect(intake)
    assert len(cvs(store_url)) == 23
    done = run(intake, monkeypatch, "--adopt")
    assert done.exit_code == 0
    assert len(in_trash(store_url)) == 21
    make_orphans(store_url, 21)
    with pytest.raises(OrphanCollectionRefused):
        collect(intake)


@pytest.mark.usefixtures("all_old")
def test_collection_is_refused_above_one_percent_of_orphans(
    intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "MAX_ORPHANS", 0)
    monkeypatch.setattr(store, "BATCH", 30)
    keys = make_orphans(store_url, 100)
    submit(intake, 1)
    rows = [{"store_key": key, "store_url": store_url} for key in sorted(keys)]
    intake.write(lambda c: c.execute(cv_deletion.insert(), rows[1:]))  # pending deletions of an erasure, except one
    assert collect(intake) == Counter(trashed=1)
    make_orphans(store_url, 2)
    with pytest.raises(OrphanCollectionRefused, match="2 of 102 objects"):
        collect(intake)


def shift_store_clock(store_url: str, monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Change the store's clock, which determines the age of objects, relative to the machine's."""
    put = obstore.put
    folder = Path(unquote(urlsplit(store_url).path))

    def dated(opened: Any, key: str, *arguments: Any, **more: Any) -> Any:
        result = put(opened, key, *arguments, **more)
        timestamp = (datetime.now(UTC) + by).timestamp()
        os.utime(folder / key, (timestamp, timestamp))
        return result

    monkeypatch.setattr(obstore, "put", dated)


def check_age_by_the_stores_clock(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    store_url = str(intake.settings.cv_store)
    submit(intake, 1)
    young = make_orphans(store_url, 2)
    assert collect(intake) == Counter()
    assert young <= cvs(store_url)
    monkeypatch.setattr(orphans, "AGE", AT_ONCE)
    assert collect(intake) == Counter(trashed=2)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_wrong_clock_does_not_change_the_age_of_objects(
    intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    shift_store_clock(store_url, monkeypatch, timedelta(days=days, minutes=days))
    check_age_by_the_stores_clock(intake, monkeypatch)


@pytest.mark.usefixtures("all_old")
def test_trash_is_emptied_after_thirty_days(intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(intake, 1)
    make_orphans(store_url, 2)
    assert collect(intake) == Counter(trashed=2)
    assert collect(intake) == Counter(), "time in trash counts from the move, not from the upload"
    monkeypatch.setattr(orphans, "TRASH_AGE", AT_ONCE)
    assert collect(intake) == Counter(deleted=2)
    assert len(cvs(store_url)) == 1
    assert not in_trash(store_url)


@pytest.mark.usefixtures("all_old")
def test_trash_is_not_emptied_on_hold(intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_orphans(store_url, 2)
    collect(intake)
    monkeypatch.setattr(orphans, "TRASH_AGE", AT_ONCE)
    obstore.put(from_url(store_url), HOLD, b"some reason\x1b[2J")
    with pytest.raises(OrphanCollectionRefused, match=r"some reason\[2J;"):
        collect(intake)
    assert len(in_trash(store_url)) == 2


@pytest.mark.usefixtures("all_old")
def test_a_hold_stops_a_running_collection(intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH", 4)
    make_orphans(store_url, 12)
    steps: Iterator[Counter[str]] = orphans.collect(intake.database, store_url)
    assert next(step for step in steps if step) == Counter(trashed=1)
    obstore.put(from_url(store_url), HOLD, b"another worker's")
    with pytest.raises(OrphanCollectionRefused):
        list(steps)
    assert len(in_trash(store_url)) <= 4, "at most the current batch"


@pytest.mark.usefixtures("all_old")
def test_other_objects_under_the_prefix_are_unchanged(
    intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {"notes.txt", "trash/notes.txt", f"trash/{token_hex(16)}", f"other/{token_hex(16)}", "intake/notes"}
    for key in others:
        obstore.put(from_url(store_url), key, b"x")
    monkeypatch.setattr(orphans, "TRASH_AGE", AT_ONCE)
    submit(intake, 1)
    mark(intake)
    assert collect(intake) == Counter()
    assert others <= stored(store_url)


@pytest.mark.usefixtures("all_old")
def test_an_erasure_deletes_objects_in_trash(intake: Intake, store_url: str) -> None:
    [lead_id] = submit(intake, 1)
    key = key_of(intake, lead_id)
    store.move_to_trash(store.ObjectRef(store_url, key))
    assert in_trash(store_url) == {key}
    erased = erasure.erase(intake.database, DataSubject.parse("ada@example.com"), actor=Actor())
    assert (erased.cvs, erased.objects_left) == (1, 0)
    assert not in_trash(store_url)
    assert intake.count(cv_deletion) == 0


def test_erasures_delete_no_objects_on_hold(
    intake: Intake, databases: Databases, restored: Callable[[str], Intake], store_url: str
) -> None:
    submit(intake, 2)
    older = databases.backup(intake.settings.database_url)
    submit(intake, 2)
    mark(intake)
    outdated = restored(older)
    assert HOLD in stored(store_url)
    erased = erasure.erase(outdated.database, DataSubject.parse("ada@example.com"), actor=Actor())
    assert (erased.cvs, erased.objects_left) == (2, 2)
    with pytest.raises(StorageUnavailable, match="CVs of erased leads"):
        list(deletions.retry(outdated.database))
    assert len(cvs(store_url)) == 4
    collect(outdated, adopt=True)
    assert list(deletions.retry(outdated.database)) == [2]
    assert outdated.count(cv_deletion) == 0


def test_a_stopping_worker_updates_the_marker(intake: Intake, store_url: str) -> None:
    submit(intake, 1)
    with running_workers(intake):
        wait_for(lambda: markers(store_url) == [1])
        submit(intake, 2)
    wait_for(lambda: max(markers(store_url)) == 3)


@pytest.mark.usefixtures("all_old")
def test_deletions_of_a_killed_erasure_are_retried(
    intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(intake, 2)

    def killed(_ref: store.ObjectRef) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "delete_everywhere", killed)
    with pytest.raises(KeyboardInterrupt):
        erasure.erase(intake.database, DataSubject.parse("ada@example.com"), actor=Actor())
    monkeypatch.undo()
    monkeypatch.setattr(orphans, "AGE", AT_ONCE)
    assert (intake.count(lead), intake.count(cv_deletion), len(cvs(store_url))) == (0, 2, 2)
    assert collect(intake) == Counter(), "an object that an erasure must delete is not an orphan"
    assert list(deletions.retry(intake.database)) == [2]
    assert (intake.count(cv_deletion), cvs(store_url), in_trash(store_url)) == (0, set(), set())


def test_the_worker_retries_failed_deletions_of_an_erasure(
    intake: Intake, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(intake, 3)
    delete = store.delete_everywhere
    is_available = False

    def delete_if_available(ref: store.ObjectRef) -> None:
        if not is_available:
            raise StorageUnavailable("unavailable")
        delete(ref)

    monkeypatch.setattr(store, "delete_everywhere", delete_if_available)
    assert erasure.erase(intake.database, DataSubject.parse("ada@example.com"), actor=Actor()).objects_left == 3
    with pytest.raises(StorageUnavailable, match="CVs of erased leads that their store can't delete now: 3"):
        list(deletions.retry(intake.database))
    with running_workers(intake):
        is_available = True
        wait_for(lambda: not cvs(store_url) and intake.count(cv_deletion) == 0)


@pytest.mark.usefixtures("all_old")
def test_the_worker_updates_the_marker_before_collecting(
    intake: Intake, store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    submit(intake, 2)
    make_orphans(store_url, 1)
    metrics = Metrics()
    markers_at_trashing: list[list[int]] = []
    move = store.move_to_trash

    def record(ref: store.ObjectRef) -> None:
        markers_at_trashing.append(markers(store_url))
        move(ref)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "move_to_trash", record)
        with running_workers(intake, metrics):
            wait_for(lambda: "orphans moved to trash: 1, deleted from trash: 0" in caplog.text)
    assert markers_at_trashing == [[2]]
    assert b"intake_cv_objects_missing 0.0" in metrics.exposition()
