"""Backups of a running service, and their restoration."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from intake.audit import LOCAL_ACTOR
from intake.backups import dumps
from intake.backups.backup import back_up
from intake.backups.files import Manifest
from intake.backups.restore import restore, verify
from intake.cli import app
from intake.cvs import store, store_marker
from intake.cvs.store import ObjectRef
from intake.database import Database
from intake.database.migrations import migrate
from intake.database.schema import audit, cv, installation, lead
from intake.errors import BackupFailed, BackupInvalid, PersonNotFound
from intake.leads import erasure
from intake.leads.data_subjects import DataSubject
from intake.settings import Settings
from tests.conftest import Databases, Intake
from tests.postgres import client_programs


@contextmanager
def silent(_label: str, _length: int) -> Iterator[Callable[[int], None]]:
    yield lambda _steps: None


@contextmanager
def after_each_cv(work: Callable[[], Any], label: str) -> Iterator[Callable[[int], None]]:
    """Show no progress, and work after each CV."""
    yield lambda _steps: work() if label == "CVs" else None


@pytest.fixture(autouse=True)
def _programs_of_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([str(client_programs()), os.environ["PATH"]]))


@pytest.fixture(params=["store", "database"])
def intake(request: pytest.FixtureRequest, start: Callable[..., Intake], tmp_path: Path) -> Intake:
    """A service with its CVs in a store, or in the database."""
    return start(cv_store=(tmp_path / "CVs").as_uri() if request.param == "store" else None)


@pytest.fixture
def stored(start: Callable[..., Intake], tmp_path: Path) -> Intake:
    """A service with its CVs in a store."""
    return start(cv_store=(tmp_path / "CVs").as_uri())


@pytest.fixture
def restored(start: Callable[..., Intake], databases: Databases, tmp_path: Path) -> Callable[..., Intake]:
    """A function that restores a backup to an empty database and a new store, and starts a service on them."""

    def restored(directory: Path, source: Intake, **changes: Any) -> Intake:
        new_store = (tmp_path / "new CVs").as_uri() if source.settings.cv_store else None
        changes = {"database_url": databases.empty_url(), "cv_store": new_store, **changes}
        restore(start_settings(source, **changes), directory, silent)
        return start(**changes)

    return restored


def start_settings(intake: Intake, **changes: Any) -> Settings:
    return replace(intake.settings, **changes)


def submit(intake: Intake, count: int) -> dict[int, bytes]:
    """Submit leads with CVs of their own, and return the CVs by lead id."""
    contents = [f"CV {number}".encode() * (number * 40_000 + 1) for number in range(count)]
    return {intake.submitted(CV=("cv.txt", content)): content for content in contents}


def downloads(intake: Intake, ids: Iterator[int] | list[int]) -> dict[int, bytes]:
    headers = intake.bearer(intake.user(f"reader{os.urandom(4).hex()}"))
    return {one: intake.client.get(f"/internal/leads/{one}/cv-download", headers=headers).content for one in ids}


def backed_up(intake: Intake, directory: Path) -> Manifest:
    return back_up(intake.settings, intake.database, directory, silent)


def actions(intake: Intake) -> list[str]:
    return list(intake.read(lambda c: c.scalars(select(audit.c.action).order_by(audit.c.id))))


def keys(intake: Intake) -> dict[int, str]:
    return dict(intake.read(lambda c: c.execute(select(cv.c.lead_id, cv.c.store_key)).all()))


def test_a_restored_service_has_the_leads_and_cvs_of_the_backup(
    intake: Intake, restored: Callable[..., Intake], tmp_path: Path
) -> None:
    sent = submit(intake, 3)
    manifest = backed_up(intake, tmp_path / "backup")
    assert (manifest.leads, manifest.cvs) == (3, 3 if intake.settings.cv_store else 0)
    [lost] = submit(intake, 1)
    other = restored(tmp_path / "backup", intake)
    assert downloads(other, list(sent)) == sent
    assert actions(other)[:2] == ["backup", "restore"]
    [following] = submit(other, 1)
    assert following == 1_000_000 + max(sent) + 1 > lost
    if url := other.settings.cv_store:
        state = store_marker.check(other.database, url)
        assert (state.is_held, state.mismatch) == (False, None)


def test_a_backup_is_private(stored: Intake, tmp_path: Path) -> None:
    submit(stored, 1)
    backed_up(stored, tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700


def test_a_backup_during_submissions_is_consistent(
    stored: Intake, restored: Callable[..., Intake], tmp_path: Path
) -> None:
    sent, stop = submit(stored, 5), threading.Event()

    def submit_more() -> None:
        while not stop.is_set():
            sent.update(submit(stored, 1))

    submitter = threading.Thread(target=submit_more)
    submitter.start()
    try:
        manifest = backed_up(stored, tmp_path / "backup")
    finally:
        stop.set()
        submitter.join()
    assert (manifest.leads, manifest.damaged, manifest.erased) == (manifest.cvs, [], [])
    other = restored(tmp_path / "backup", stored)
    expected = {one: sent[one] for one in sorted(sent)[: manifest.leads]}
    assert downloads(other, list(expected)) == expected


def interrupted(intake: Intake, directory: Path) -> None:
    """Interrupt a backup after its first CV."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(intake.settings, intake.database, directory, lambda label, _: after_each_cv(interrupt, label))


def test_an_interrupted_backup_is_continued(stored: Intake, restored: Callable[..., Intake], tmp_path: Path) -> None:
    sent, directory = submit(stored, 3), tmp_path / "backup"
    interrupted(stored, directory)
    [first] = [path for path in directory.rglob("cvs/*/*") if path.is_file()]
    written_at = first.stat().st_mtime_ns
    with pytest.raises(BackupInvalid, match=rf"interrupted; to finish it, run: intake backup {directory}"):
        verify(directory, silent)
    submit(stored, 1)
    assert backed_up(stored, directory).cvs == 3
    assert first.stat().st_mtime_ns == written_at
    assert downloads(restored(directory, stored), list(sent)) == sent


def test_a_backup_is_not_continued_with_another_database(
    stored: Intake, start: Callable[..., Intake], tmp_path: Path
) -> None:
    submit(stored, 2)
    interrupted(stored, tmp_path / "backup")
    other = start(cv_store=(tmp_path / "other CVs").as_uri())
    other.write(lambda c: c.execute(update(installation).values(database_id=os.urandom(32))))
    with pytest.raises(BackupFailed, match="a backup of another database; check INTAKE_DATABASE_URL"):
        backed_up(other, tmp_path / "backup")
    assert backed_up(stored, tmp_path / "backup").erased == []


def test_a_backup_is_not_continued_after_an_older_one_was_restored(
    stored: Intake, restored: Callable[..., Intake], tmp_path: Path
) -> None:
    submit(stored, 2)
    backed_up(stored, tmp_path / "older")
    submit(stored, 2)
    interrupted(stored, tmp_path / "newer")
    with pytest.raises(BackupFailed, match=r"restored to a time before the backup in .*; choose another directory"):
        backed_up(restored(tmp_path / "older", stored), tmp_path / "newer")
    assert backed_up(stored, tmp_path / "newer").erased == []


def test_two_backups_to_a_directory_do_not_run_at_once(stored: Intake, tmp_path: Path) -> None:
    submit(stored, 1)
    directory, errors = tmp_path / "backup", list[str]()

    def second() -> None:
        with pytest.raises(BackupFailed) as refused:
            backed_up(stored, directory)
        errors.append(str(refused.value))

    back_up(stored.settings, stored.database, directory, lambda label, _: after_each_cv(second, label))
    assert errors == [f"another backup to {directory} is running; wait until it has ended"]
    verify(directory, silent)


def test_a_backup_of_an_earlier_version_can_be_restored(stored: Intake, tmp_path: Path) -> None:
    submit(stored, 1)
    backed_up(stored, tmp_path / "backup")
    path = tmp_path / "backup" / "manifest.json"
    earlier = {key: value for key, value in json.loads(path.read_text()).items() if key != "database_id"}
    path.write_text(json.dumps(earlier))
    assert verify(tmp_path / "backup", silent).database_id == ""


def test_a_lead_erased_meanwhile_is_reported(stored: Intake, tmp_path: Path) -> None:
    ids = [stored.submitted(email=f"{number}@example.com") for number in range(3)]
    last_key, lead_id = max((key, lead_id) for lead_id, key in keys(stored).items())
    person = DataSubject.parse(f"{ids.index(lead_id)}@example.com")

    def erase() -> None:
        with suppress(PersonNotFound):  # it is called after each CV
            erasure.erase(stored.database, person, actor=LOCAL_ACTOR)

    directory = tmp_path / "backup"
    manifest = back_up(stored.settings, stored.database, directory, lambda label, _: after_each_cv(erase, label))
    assert (manifest.erased, manifest.damaged, manifest.leads) == ([last_key], [], 3)
    assert verify(directory, silent) == manifest
    checked = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(checked, cwd=directory, check=False).returncode == 0
    assert sorted(directory.glob("*.part")) == []


def test_the_password_is_in_no_file_and_no_argument(tmp_path: Path) -> None:
    password, program = r"a:b\c'd e", tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD $*" "$TMPDIR"/* >&2\nexit 1\n')
    program.chmod(0o700)
    url = f"postgresql+psycopg2://intake:{quote(password, safe='')}@127.0.0.1/intake"
    (tmp_path / "empty").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path / "empty"))
        patch.setattr(tempfile, "tempdir", None)
        with pytest.raises(BackupFailed) as raised:
            dumps._run(Settings(database_url=url), str(program), "--file=x")
    assert str(raised.value).splitlines() == [
        f"{password} --dbname=host=127.0.0.1 dbname=intake user=intake --file=x",
        f"{tmp_path / 'empty'}/*",
    ]


@pytest.mark.parametrize("change", ["missing", "damaged", "truncated"])
def test_a_cv_that_the_store_lost_is_reported(
    stored: Intake, restored: Callable[..., Intake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    sent = submit(stored, 2)
    lost = min(sent)
    key, url = keys(stored)[lost], str(stored.settings.cv_store)
    if change == "missing":
        store.delete(ObjectRef(url, key))
    else:
        store.put_at(ObjectRef(url, key), b"X" * len(sent[lost]) if change == "damaged" else b"")
    done = run(stored, monkeypatch, "backup", str(tmp_path / "backup"))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-2:] == [
        f"intake: 2 leads and 1 CVs of the store are in {tmp_path / 'backup'}",
        f"intake: CVs missing or damaged in the store: {key}",
    ]
    other = restored(tmp_path / "backup", stored)
    kept = max(sent)
    assert downloads(other, [kept]) == {kept: sent[kept]}


def run(intake: Intake, monkeypatch: pytest.MonkeyPatch, *arguments: str, **changes: str) -> Any:
    monkeypatch.setenv("INTAKE_DATABASE_URL", intake.settings.database_url)
    monkeypatch.setenv("INTAKE_CV_STORE", str(intake.settings.cv_store or ""))
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, list(arguments))


def test_the_commands(stored: Intake, databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(stored, 2)
    backup, directory = tmp_path / "backup", str(tmp_path / "backup")
    changes = {"INTAKE_DATABASE_URL": databases.empty_url(), "INTAKE_CV_STORE": (tmp_path / "new").as_uri()}
    for arguments, more, message in (
        (["backup", directory], {}, f"2 leads and 2 CVs of the store are in {directory}"),
        (["restore", "--verify", directory], {}, "2 leads and 2 CVs of the store are intact"),
        (["restore", directory], changes, "2 leads and 2 CVs of the store are restored, as of "),
    ):
        done = run(stored, monkeypatch, *arguments, **more)
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr.splitlines()[-1].startswith(f"intake: {message}")
    assert json.loads((backup / "manifest.json").read_text())["complete"] is True


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_programs_of_postgresql_end_with_a_killed_restore(stored: Intake, databases: Databases, tmp_path: Path) -> None:
    submit(stored, 1)
    backed_up(stored, tmp_path / "backup")
    environment = {**os.environ, "INTAKE_DATABASE_URL": databases.empty_url(), "INTAKE_CV_STORE": tmp_path.as_uri()}
    command = [sys.executable, "-m", "intake", "restore", str(tmp_path / "backup")]
    with subprocess.Popen(command, env=environment, cwd=tmp_path) as restoring:
        children = Path(f"/proc/{restoring.pid}/task/{restoring.pid}/children")
        program = None
        while program is None:
            assert restoring.poll() is None
            program = next((pid for pid in children.read_text().split() if is_program(pid)), None)
        os.kill(int(program), signal.SIGSTOP)
        restoring.kill()
    ends_at = time.monotonic() + 5
    with suppress(FileNotFoundError):
        while command_line := Path(f"/proc/{program}/cmdline").read_bytes():
            assert time.monotonic() < ends_at, command_line
            time.sleep(0.05)


def is_program(pid: str) -> bool:
    """Whether this is pg_restore, and not the fork that will execute it."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().startswith("pg_restore")
    return False


def corrupt_database(directory: Path) -> None:
    [path] = directory.glob("database.*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove_a_cv(directory: Path) -> None:
    next(path for path in directory.rglob("cvs/*/*")).unlink()


def shorten_a_cv(directory: Path) -> None:
    os.truncate(next(path for path in directory.rglob("cvs/*/*")), 1)


def name_another_file(directory: Path) -> None:
    with (directory / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  ../../secret\n")


def cut_the_sums(directory: Path) -> None:
    path = directory / "SHA256SUMS"
    path.write_text(path.read_text()[:-5])


def remove_the_sums(directory: Path) -> None:
    (directory / "SHA256SUMS").unlink()


def empty_the_sums(directory: Path) -> None:
    (directory / "SHA256SUMS").write_text("")


def remove_the_last_sum(directory: Path) -> None:
    path = directory / "SHA256SUMS"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def remove_the_sum_of_the_database(directory: Path) -> None:
    path = directory / "SHA256SUMS"
    [_, cv_line] = path.read_text().splitlines(keepends=True)
    path.write_text(cv_line * 2)


def change_a_type(directory: Path) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "erased": 5}))


def empty_the_manifest(directory: Path) -> None:
    (directory / "manifest.json").write_text("")


def use_another_format(directory: Path) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


def remove_the_manifest(directory: Path) -> None:
    (directory / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (corrupt_database, "missing or damaged in .*: database."),
        (remove_a_cv, "missing or damaged in .*: cvs/"),
        (shorten_a_cv, "missing or damaged in .*: cvs/"),
        (name_another_file, "has an invalid line"),
        (cut_the_sums, "has an invalid line"),
        (empty_the_sums, "missing or damaged in .*: SHA256SUMS"),
        (remove_the_last_sum, "missing or damaged in .*: SHA256SUMS"),
        (remove_the_sum_of_the_database, "missing or damaged in .*: SHA256SUMS"),
        (change_a_type, "can't read .*manifest.json: erased: Input should be a valid array"),
        (remove_the_sums, "can't read .*SHA256SUMS"),
        (empty_the_manifest, "can't read .*manifest.json"),
        (use_another_format, "was written by another version"),
        (remove_the_manifest, "there is no backup in"),
    ],
)
def test_a_damaged_backup_is_not_restored(
    stored: Intake, databases: Databases, tmp_path: Path, damage: Callable[[Path], None], error: str
) -> None:
    submit(stored, 1)
    backed_up(stored, tmp_path / "backup")
    damage(tmp_path / "backup")
    settings = start_settings(stored, database_url=databases.empty_url(), cv_store=(tmp_path / "new").as_uri())
    with pytest.raises(BackupInvalid, match=error):
        restore(settings, tmp_path / "backup", silent)
    assert not (tmp_path / "new").exists()


def test_a_database_that_is_created_meanwhile_is_not_replaced(
    stored: Intake, databases: Databases, tmp_path: Path
) -> None:
    submit(stored, 1)
    backed_up(stored, tmp_path / "backup")
    settings = start_settings(stored, database_url=databases.empty_url(), cv_store=(tmp_path / "new").as_uri())
    with pytest.raises(BackupFailed, match=r"exists"):
        restore(settings, tmp_path / "backup", lambda label, _: after_each_cv(lambda: migrate(settings), label))
    with closing(Database(settings, connections=1)) as database:
        assert database.read(lambda c: c.execute(select(func.count()).select_from(lead)).scalar_one()) == 0


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_an_interrupted_copy_of_a_database_is_repeated(stored: Intake, tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    for name in ("database.sqlite.part", "database.sqlite.part-journal", "SHA256SUMS.part"):
        (tmp_path / "backup" / name).write_bytes(b"the beginning")
    assert backed_up(stored, tmp_path / "backup").complete
    assert {path.name for path in (tmp_path / "backup").iterdir()} >= {"SHA256SUMS", "manifest.json"}
    assert not [path for path in (tmp_path / "backup").iterdir() if ".part" in path.name]


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_two_restores_do_not_share_a_file(intake: Intake, databases: Databases, tmp_path: Path) -> None:
    backed_up(intake, tmp_path / "backup")
    settings = start_settings(intake, database_url=databases.empty_url())
    assert settings.sqlite_file
    draft = settings.sqlite_file.with_name(f"{settings.sqlite_file.name}.part")
    draft.touch()
    with pytest.raises(BackupFailed, match=rf"{draft} exists: another restore is running, or was interrupted"):
        restore(settings, tmp_path / "backup", silent)
    assert draft.exists()


def test_a_restore_can_refuse(stored: Intake, databases: Databases, tmp_path: Path) -> None:
    submit(stored, 1)
    directory = tmp_path / "backup"
    backed_up(stored, directory)
    with pytest.raises(BackupFailed, match="has a complete backup; choose another directory"):
        backed_up(stored, directory)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "letter.txt").touch()
    with pytest.raises(BackupFailed, match=r"has other files, such as letter\.txt"):
        backed_up(stored, tmp_path / "used")
    with pytest.raises(BackupFailed, match=r"exists; stop the service|the database has tables"):
        restore(stored.settings, directory, silent)
    with pytest.raises(BackupFailed, match="set INTAKE_CV_STORE"):
        restore(start_settings(stored, database_url=databases.empty_url(), cv_store=None), directory, silent)
    is_sqlite = stored.settings.sqlite_file is not None
    manifest = json.loads((directory / "manifest.json").read_text())
    for change, error in (
        ({"database": "postgresql" if is_sqlite else "sqlite"}, "INTAKE_DATABASE_URL names"),
        ({"schema": "9999"}, r"by a newer version of this service \(schema 9999\)"),
    ):
        (directory / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(BackupFailed, match=error):
            restore(start_settings(stored, database_url=databases.empty_url()), directory, silent)
