"""CVs in a CV store: durability before the commit, integrity checks and orphan collection."""

import json
import os
import stat
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from intake.cvs import orphans, store
from intake.database import Database
from intake.database.installation import Identity
from intake.database.schema import cv, cv_content, lead
from intake.errors import DatabaseUnavailable, StorageUnavailable
from tests.conftest import Intake

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB: several chunks
A_DAY_AGO = time.time() - 25 * 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "CVs"


@pytest.fixture
def intake(start: Callable[..., Intake], folder: Path) -> Intake:
    """A service with a CV store in a directory, and a client authenticated as an attorney."""
    return authenticated(start(cv_store=folder.as_uri()))


def authenticated(intake: Intake) -> Intake:
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake


def object_ref(intake: Intake, lead_id: int) -> tuple[str | None, str | None]:
    query = select(cv.c.store_url, cv.c.store_key).where(cv.c.lead_id == lead_id)
    row = intake.read(lambda c: c.execute(query).one())
    return row.store_url, row.store_key


def download(intake: Intake, lead_id: int) -> Any:
    return intake.client.get(f"/internal/leads/{lead_id}/cv-download")


def collect(intake: Intake) -> int:
    """Collect orphans and return the number moved to trash."""
    assert intake.settings.cv_store is not None
    return sum(orphans.collect(intake.database, intake.settings.cv_store), Counter[str]())["trashed"]


def files(folder: Path) -> list[Path]:
    """Return the files at the top of the store: CVs and foreign files, without those in subdirectories."""
    return [path for path in folder.iterdir() if path.is_file()]


@pytest.mark.parametrize("content", [b"x", CONTENT])
def test_the_row_refers_to_the_stored_object(intake: Intake, folder: Path, content: bytes) -> None:
    lead_id = intake.submitted(CV=("cv.bin", content))
    [file] = folder.iterdir()
    assert object_ref(intake, lead_id) == (folder.as_uri(), file.name)
    assert file.read_bytes() == content
    assert intake.count(cv_content) == 0
    assert download(intake, lead_id).content == content


def test_files_are_accessible_to_their_owner_only(intake: Intake, folder: Path) -> None:
    intake.submitted()
    [file] = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)


def test_identical_cvs_are_separate_objects(intake: Intake, folder: Path) -> None:
    intake.submitted()
    intake.submitted()
    assert len(list(folder.iterdir())) == 2


def test_the_file_and_its_directory_are_synced_before_the_lead_is_saved(
    intake: Intake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, intake.count(lead)))

    monkeypatch.setattr(os, "fsync", fsync)
    intake.submitted()
    [file] = folder.iterdir()
    assert synced == [(file.stat().st_ino, 0), (folder.stat().st_ino, 0)]


def test_older_cvs_remain_readable_under_any_store_setting(
    intake: Intake, start: Callable[..., Intake], tmp_path: Path
) -> None:
    first = intake.submitted(CV=("1", b"in the first store"))
    database_url = intake.settings.database_url
    inside = start(database_url=database_url)
    second = inside.submitted(CV=("2", b"in the database"))
    other = start(database_url=database_url, cv_store=(tmp_path / "other").as_uri())
    third = other.submitted(CV=("3", b"in another store"))
    for service in (intake, inside, other):
        service.client.headers.update(intake.client.headers)
        contents = [download(service, lead_id).content for lead_id in (first, second, third)]
        assert contents == [b"in the first store", b"in the database", b"in another store"]


def test_a_damaged_cv_is_never_sent_whole(intake: Intake, folder: Path) -> None:
    small, large = intake.submitted(CV=("s", b"a CV")), intake.submitted(CV=("l", CONTENT))
    for file in folder.iterdir():
        with file.open("r+b") as damaged:
            damaged.write(b"!")
    answer = download(intake, small)
    assert (answer.status_code, answer.json()["title"]) == (500, "CV damaged")
    with intake.client.stream("GET", f"/internal/leads/{large}/cv-download") as cut:
        received = b"".join(cut.iter_raw())
    assert len(received) < len(CONTENT)


@pytest.mark.parametrize("size", [0, 1, store.PIECE_BYTES])
def test_a_truncated_cv_is_damaged(intake: Intake, folder: Path, size: int) -> None:
    lead_id = intake.submitted(CV=("cv.txt", bytes(store.PIECE_BYTES + 1)))
    [file] = folder.iterdir()
    os.truncate(file, size)
    with intake.client.stream("GET", f"/internal/leads/{lead_id}/cv-download") as answer:
        received = b"".join(answer.iter_raw())
    if size < store.PIECE_BYTES:
        assert (answer.status_code, json.loads(received)["title"]) == (500, "CV damaged")
    assert len(received) <= store.PIECE_BYTES


def test_a_missing_cv_is_503(intake: Intake, folder: Path) -> None:
    lead_id = intake.submitted()
    [file] = folder.iterdir()
    file.unlink()
    answer = download(intake, lead_id)
    assert (answer.status_code, answer.json()["title"]) == (503, "Storage unavailable")
    assert answer.json()["detail"].startswith("the file is missing from the CV store; an operator can")
    assert answer.headers["Retry-After"]
    assert str(folder) not in answer.text


def test_an_unavailable_store_is_503_and_nothing_is_saved(intake: Intake, folder: Path) -> None:
    folder.rmdir()
    folder.write_text("a file in place of the directory")
    answer = intake.submit()
    assert (answer.status_code, answer.json()["title"]) == (503, "Storage unavailable")
    assert intake.count(lead) == 0
    folder.unlink()
    folder.mkdir()
    assert intake.submit().status_code == 204


def test_an_unusable_directory_prevents_the_start(start: Callable[..., Intake], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable):
        start(cv_store=(tmp_path / "file" / "CVs").as_uri())


def test_only_orphans_older_than_a_day_are_collected(intake: Intake, folder: Path) -> None:
    saved = intake.submitted()
    old, young, foreign = (folder / name for name in (token_hex(16), token_hex(16), "notes.txt"))
    for file in (old, young, foreign):
        file.write_text("x")
    for file in files(folder):
        if file != young:
            os.utime(file, (A_DAY_AGO, A_DAY_AGO))
    assert collect(intake) == 1
    assert not old.exists()
    assert young.exists()
    assert foreign.exists()
    assert download(intake, saved).status_code == 200
    assert collect(intake) == 0


def test_orphans_are_collected_in_batches(intake: Intake, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH", 3)
    for n in range(10):
        intake.submitted(email=f"{n}@example.com")
        (folder / token_hex(16)).write_text("x")
    for file in files(folder):
        os.utime(file, (A_DAY_AGO, A_DAY_AGO))
    assert collect(intake) == 10
    assert len(list(files(folder))) == 10


def submit_with_key(intake: Intake, content: bytes) -> int:
    answer = intake.client.post(
        "/leads/",
        data={"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"},
        files={"CV": ("cv", content)},
        headers={"Idempotency-Key": "k"},
    )
    return int(answer.status_code)


def test_a_refused_submission_leaves_no_object(intake: Intake, folder: Path) -> None:
    assert [submit_with_key(intake, content) for content in (b"one", b"another")] == [204, 422]
    assert [file.read_bytes() for file in files(folder)] == [b"one"]


def create(intake: Intake, path: str) -> int:
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    return int(intake.client.post(path, data=form, files={"CV": ("cv", b"a CV")}).status_code)


@pytest.mark.parametrize("path", ["/leads/", "/internal/leads/"])
@pytest.mark.parametrize("error", [DatabaseUnavailable("a lost connection"), LookupError("a defect")])
def test_a_failed_transaction_leaves_no_object(
    intake: Intake, folder: Path, path: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("intake.leads.submissions.write_cv", fail)
    monkeypatch.setattr("intake.leads.manual_leads.write_cv", fail)
    assert create(intake, path) in (500, 503)
    assert files(folder) == []
    assert intake.count(lead) == 0


@pytest.mark.parametrize("path", ["/leads/", "/internal/leads/"])
def test_a_commit_without_a_response_keeps_the_object(
    intake: Intake, folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit_and_fail(database: Database, engine: Engine, work: Callable[[Connection], Any]) -> Any:
        result = in_transaction(database, engine, work)
        if "writing" in engine.get_execution_options() and not isinstance(result, Identity):
            raise DatabaseUnavailable("a lost connection")
        return result

    intake.submitted()  # so that the store's marker exists
    in_transaction = Database._in_transaction
    monkeypatch.setattr(Database, "_in_transaction", commit_and_fail)
    assert create(intake, path) == 503
    assert len(files(folder)) == intake.count(lead) == 2


def test_a_repeated_submission_leaves_no_second_object(intake: Intake, folder: Path) -> None:
    assert [submit_with_key(intake, b"one") for _ in range(3)] == [204] * 3
    assert len(list(files(folder))) == 1


def test_partial_files_of_killed_uploads_are_deleted_after_a_day(intake: Intake, folder: Path) -> None:
    old, young = (folder / f"{token_hex(16)}#1" for _ in range(2))
    for file in (old, young):
        file.write_text("x")
    os.utime(old, (A_DAY_AGO, A_DAY_AGO))
    collect(intake)
    assert list(files(folder)) == [young]


@pytest.mark.parametrize("spelling", ["link", "CVs/../CVs", "./CVs"])
def test_another_spelling_of_the_store_url_makes_no_orphans(
    intake: Intake, start: Callable[..., Intake], folder: Path, spelling: str
) -> None:
    lead_id = intake.submitted()
    (folder.parent / "link").symlink_to(folder)
    for file in files(folder):
        os.utime(file, (A_DAY_AGO, A_DAY_AGO))
    store_url = f"{folder.parent.as_uri()}/{spelling}"
    assert collect(start(database_url=intake.settings.database_url, cv_store=store_url)) == 0
    assert download(intake, lead_id).status_code == 200
