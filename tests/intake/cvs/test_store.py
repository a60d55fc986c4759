"""CVs outside the database: durable before the commit, checked whenever they are read, and cleaned up."""

import os
import stat
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import select

from intake.cvs import orphans, store
from intake.database.schema import cv, cv_content, lead
from intake.errors import StorageUnavailable
from tests.conftest import Intake

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB: several pieces
A_DAY_AGO = time.time() - 25 * 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "CVs"


@pytest.fixture
def firm(start: Callable[..., Intake], folder: Path) -> Intake:
    """A service that keeps its CVs in a directory, with a client that shows an attorney's token."""
    return signed_in(start(cv_store=folder.as_uri()))


def signed_in(intake: Intake) -> Intake:
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake


def place(intake: Intake, lead_id: int) -> tuple[str | None, str | None]:
    query = select(cv.c.store_url, cv.c.store_key).where(cv.c.lead_id == lead_id)
    row = intake.read(lambda c: c.execute(query).one())
    return row.store_url, row.store_key


def download(intake: Intake, lead_id: int) -> Any:
    return intake.client.get(f"/internal/leads/{lead_id}/cv-download")


def collect(intake: Intake) -> int:
    """Collect orphans, and return how many were moved to trash."""
    assert intake.settings.cv_store is not None
    return sum(orphans.collect(intake.database, intake.settings.cv_store), Counter[str]())["trashed"]


def files(folder: Path) -> list[Path]:
    """Return the CVs in the store, and what is beside them: not what is in its own folders."""
    return [path for path in folder.iterdir() if path.is_file()]


@pytest.mark.parametrize("content", [b"x", CONTENT])
def test_the_row_says_where_it_is(firm: Intake, folder: Path, content: bytes) -> None:
    lead_id = firm.submitted(CV=("cv.bin", content))
    [file] = folder.iterdir()
    assert place(firm, lead_id) == (folder.as_uri(), file.name)
    assert file.read_bytes() == content
    assert firm.count(cv_content) == 0
    assert download(firm, lead_id).content == content


def test_files_are_their_owners_alone(firm: Intake, folder: Path) -> None:
    firm.submitted()
    [file] = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)


def test_the_same_cv_twice_is_two_objects(firm: Intake, folder: Path) -> None:
    firm.submitted()
    firm.submitted()
    assert len(list(folder.iterdir())) == 2


def test_the_file_and_its_name_are_on_the_disk_before_the_lead_is_kept(
    firm: Intake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, int]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, firm.count(lead)))

    monkeypatch.setattr(os, "fsync", fsync)
    firm.submitted()
    [file] = folder.iterdir()
    assert synced == [(file.stat().st_ino, 0), (folder.stat().st_ino, 0)]


def test_older_ones_stay_readable_whatever_the_setting(
    firm: Intake, start: Callable[..., Intake], tmp_path: Path
) -> None:
    first = firm.submitted(CV=("1", b"in the first store"))
    database_url = firm.settings.database_url
    inside = start(database_url=database_url)
    second = inside.submitted(CV=("2", b"in the database"))
    other = start(database_url=database_url, cv_store=(tmp_path / "other").as_uri())
    third = other.submitted(CV=("3", b"in another store"))
    for service in (firm, inside, other):
        service.client.headers.update(firm.client.headers)
        contents = [download(service, lead_id).content for lead_id in (first, second, third)]
        assert contents == [b"in the first store", b"in the database", b"in another store"]


def test_a_damaged_one_is_never_given_out_whole(firm: Intake, folder: Path) -> None:
    small, large = firm.submitted(CV=("s", b"a CV")), firm.submitted(CV=("l", CONTENT))
    for file in folder.iterdir():
        with file.open("r+b") as damaged:
            damaged.write(b"!")
    answer = download(firm, small)
    assert (answer.status_code, answer.json()["title"]) == (500, "CV damaged")
    with firm.client.stream("GET", f"/internal/leads/{large}/cv-download") as cut:
        received = b"".join(cut.iter_raw())
    assert len(received) < len(CONTENT)


def test_one_that_is_gone_or_cut_off_is_503(firm: Intake, folder: Path) -> None:
    lead_id = firm.submitted()
    [file] = folder.iterdir()
    file.write_bytes(b"")
    assert download(firm, lead_id).status_code == 503
    file.unlink()
    answer = download(firm, lead_id)
    assert (answer.status_code, answer.json()["title"]) == (503, "Storage unavailable")
    assert answer.headers["Retry-After"]
    assert str(folder) not in answer.text


def test_a_store_that_is_away_is_503_and_nothing_is_kept(firm: Intake, folder: Path) -> None:
    folder.rmdir()
    folder.write_text("a file stands where the directory was")
    answer = firm.submit()
    assert (answer.status_code, answer.json()["title"]) == (503, "Storage unavailable")
    assert firm.count(lead) == 0
    folder.unlink()
    folder.mkdir()
    assert firm.submit().status_code == 204


def test_a_directory_that_can_not_be_made_stops_the_start(start: Callable[..., Intake], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable):
        start(cv_store=(tmp_path / "file" / "CVs").as_uri())


def test_orphans_are_collected_after_a_day_and_nothing_else(firm: Intake, folder: Path) -> None:
    kept = firm.submitted()
    old, young, foreign = (folder / name for name in (token_hex(16), token_hex(16), "notes.txt"))
    for file in (old, young, foreign):
        file.write_text("x")
    for file in files(folder):
        if file != young:
            os.utime(file, (A_DAY_AGO, A_DAY_AGO))
    assert collect(firm) == 1
    assert not old.exists()
    assert young.exists()
    assert foreign.exists()
    assert download(firm, kept).status_code == 200
    assert collect(firm) == 0


def test_orphans_are_found_in_many_batches(firm: Intake, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH", 3)
    for n in range(10):
        firm.submitted(email=f"{n}@example.com")
        (folder / token_hex(16)).write_text("x")
    for file in files(folder):
        os.utime(file, (A_DAY_AGO, A_DAY_AGO))
    assert collect(firm) == 10
    assert len(list(files(folder))) == 10


def with_key(firm: Intake, content: bytes) -> int:
    answer = firm.client.post(
        "/leads/",
        data={"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"},
        files={"CV": ("cv", content)},
        headers={"Idempotency-Key": "k"},
    )
    return int(answer.status_code)


def test_what_a_refused_submission_put_there_is_taken_back(firm: Intake, folder: Path) -> None:
    assert [with_key(firm, content) for content in (b"one", b"another")] == [204, 422]
    assert [file.read_bytes() for file in files(folder)] == [b"one"]


def test_a_repeated_submission_leaves_none(firm: Intake, folder: Path) -> None:
    assert [with_key(firm, b"one") for _ in range(3)] == [204] * 3
    assert len(list(files(folder))) == 1


def test_what_a_killed_upload_left_is_deleted_after_a_day(firm: Intake, folder: Path) -> None:
    old, young = (folder / f"{token_hex(16)}#1" for _ in range(2))
    for file in (old, young):
        file.write_text("x")
    os.utime(old, (A_DAY_AGO, A_DAY_AGO))
    collect(firm)
    assert list(files(folder)) == [young]


@pytest.mark.parametrize("spelling", ["link", "CVs/../CVs", "./CVs"])
def test_an_address_that_is_spelled_otherwise_makes_no_orphans(
    firm: Intake, start: Callable[..., Intake], folder: Path, spelling: str
) -> None:
    lead_id = firm.submitted()
    (folder.parent / "link").symlink_to(folder)
    for file in files(folder):
        os.utime(file, (A_DAY_AGO, A_DAY_AGO))
    address = f"{folder.parent.as_uri()}/{spelling}"
    assert collect(start(database_url=firm.settings.database_url, cv_store=address)) == 0
    assert download(firm, lead_id).status_code == 200
