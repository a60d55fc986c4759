"""CVs in an S3-compatible store, with a real server."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from secrets import token_hex
from typing import Any

import obstore
import pytest
from obstore.store import from_url
from sqlalchemy import select

from intake.cvs import orphans
from intake.database.schema import cv, lead
from tests.conftest import Intake
from tests.s3.conftest import S3

CONTENT = bytes(range(256)) * 32_000  # 8 MB: an upload of several parts


@pytest.fixture
def intake(s3: S3, start: Callable[..., Intake]) -> Intake:
    """A service with a CV store under a separate prefix."""
    intake = start(cv_store=f"s3://cvs/firms/{token_hex(8)}")
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake


def key(intake: Intake, lead_id: int) -> str:
    """Return a CV's key in the bucket."""
    query = select(cv.c.store_url, cv.c.store_key).where(cv.c.lead_id == lead_id)
    store_url, store_key = intake.read(lambda c: c.execute(query).one())
    assert store_url == intake.settings.cv_store
    return f"{store_url}/{store_key}".removeprefix("s3://cvs/")


def download(intake: Intake, lead_id: int) -> Any:
    return intake.client.get(f"/internal/leads/{lead_id}/cv-download")


@pytest.mark.parametrize("content", [b"x", CONTENT])
def test_the_row_refers_to_the_stored_object(s3: S3, intake: Intake, content: bytes) -> None:
    lead_id = intake.submitted(CV=("cv.bin", content))
    assert bytes(obstore.get(from_url("s3://cvs"), key(intake, lead_id)).bytes()) == content
    assert download(intake, lead_id).content == content


def test_a_damaged_cv_is_never_sent_whole(s3: S3, intake: Intake) -> None:
    small, large = intake.submitted(CV=("s", b"a CV")), intake.submitted(CV=("l", CONTENT))
    obstore.put(from_url("s3://cvs"), key(intake, small), b"a VC")
    obstore.put(from_url("s3://cvs"), key(intake, large), CONTENT[:-1] + b"!")
    assert download(intake, small).json()["title"] == "CV damaged"
    with intake.client.stream("GET", f"/internal/leads/{large}/cv-download") as cut:
        assert len(b"".join(cut.iter_raw())) < len(CONTENT)


def test_only_orphans_are_collected(s3: S3, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = intake.submitted()
    orphan = key(intake, saved).rpartition("/")[0] + f"/{token_hex(16)}"
    obstore.put(from_url("s3://cvs"), orphan, b"x")
    assert intake.settings.cv_store is not None
    collected = sum(orphans.collect(intake.database, intake.settings.cv_store), Counter[str]())
    assert collected["trashed"] == 0, "it is younger than a day"
    monkeypatch.setattr(orphans, "AGE", timedelta(seconds=-10))
    collected = sum(orphans.collect(intake.database, intake.settings.cv_store), Counter[str]())
    assert collected["trashed"] == 1
    with pytest.raises(FileNotFoundError):
        obstore.head(from_url("s3://cvs"), orphan)
    assert download(intake, saved).status_code == 200


def test_an_unavailable_store_is_503_until_it_is_available_again(s3: S3, intake: Intake) -> None:
    lead_id = intake.submitted()
    s3.stop()
    answer = intake.submit()
    assert (answer.status_code, answer.json()["title"]) == (503, "Storage unavailable")
    assert answer.headers["Retry-After"]
    assert download(intake, lead_id).status_code == 503
    assert intake.count(lead) == 1
    s3.start()
    assert intake.submit().status_code == 204
    assert download(intake, lead_id).status_code == 503, "this server lost it"
