"""A CV store in a directory whose file system is not mounted."""

from pathlib import Path

import pytest

from intake.audit import Actor
from intake.cvs import deletions, store, store_marker
from intake.errors import StorageUnavailable
from intake.leads import erasure
from intake.leads.data_subjects import DataSubject
from tests.conftest import Intake
from tests.intake.cvs import test_restores
from tests.intake.cvs.test_restores import mark, stored, submit

store_url, intake, renewed = test_restores.store_url, test_restores.intake, test_restores.renewed


@pytest.mark.usefixtures("renewed")
def test_an_outage_of_an_earlier_store_puts_nothing_on_hold(intake: Intake, store_url: str, tmp_path: Path) -> None:
    submit(intake, 1)
    mark(intake)
    new, directory = (tmp_path / "new").as_uri(), tmp_path / "CVs"
    store.prepare(new)
    directory.rename(tmp_path / "away")
    for _ in range(4):
        store_marker.mark(intake.database, new, {store_url})
    assert not directory.exists()
    (tmp_path / "away").rename(directory)
    assert store_marker.refusal(intake.database, store_url) is None


def test_an_empty_store_is_refused_until_its_file_system_is_mounted(
    intake: Intake, store_url: str, tmp_path: Path
) -> None:
    submit(intake, 2)
    mark(intake)
    directory = tmp_path / "CVs"
    directory.rename(tmp_path / "unmounted")
    directory.mkdir()
    assert intake.submit().status_code == 503
    with pytest.raises(StorageUnavailable, match="is it mounted"):
        mark(intake)
    done = erasure.erase(intake.database, DataSubject.parse("ada@example.com"), actor=Actor())
    assert done.objects_left == 2
    assert stored(store_url) == set()
    directory.rmdir()
    (tmp_path / "unmounted").rename(directory)
    assert sum(deletions.retry(intake.database)) == 2
    assert intake.submit().status_code == 204
