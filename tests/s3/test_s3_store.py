"""CVs in an S3-compatible store: a real server of its protocol, real requests."""

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
def firm(s3: S3, start: Callable[..., Intake]) -> Intake:
    """A service that keeps its CVs there, under a prefix of its own."""
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
def test_the_row_says_where_it_is(s3: S3, firm: Intake, content: bytes) -> None:
    lead_id = firm.submitted(CV=("cv.bin", content))
    assert bytes(obstore.get(from_url("s3://cvs"), key(firm, lead_id)).bytes()) == content
    assert download(firm, lead_id).content == content


def test_a_damaged_one_is_never_given_out_whole(s3: S3, firm: Intake) -> None:
    small, large = firm.submitted(CV=("s", b"a CV")), firm.submitted(CV=("l", CONTENT))
    obstore.put(from_url("s3://cvs"), key(firm, small), b"a VC")
    obstore.put(from_url("s3://cvs"), key(firm, large), CONTENT[:-1] + b"!")
    assert download(firm, small).json()["title"] == "CV damaged"
    with firm.client.stream("GET", f"/internal/leads/{large}/cv-download") as cut:
        assert len(b"".join(cut.iter_raw())) < len(CONTENT)


def test_orphans_are_collected_and_nothing_else(s3: S3, firm: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = firm.submitted()
    orphan = key(firm, kept).rpartition("/")[0] + f"/{token_hex(16)}"
    obstore.put(from_url("s3://cvs"), orphan, b"x")
    assert firm.settings.cv_store is not None
    collected = sum(orphans.collect(firm.database, firm.settings.cv_store), Counter[str]())
    assert collected["trashed"] == 0, "it is younger than a day"
    monkeypatch.setattr(orphans, "AGE", timedelta(seconds=-10))
    collected = sum(orphans.collect(firm.database, firm.settings.cv_store), Counter[str]())
    assert collected["trashed"] == 1
    with pytest.raises(FileNotFoundError):
        obstore.head(from_url("s3://cvs"), orphan)
    assert download(firm, kept).status_code == 200


def test_a_store_that_is_away_is_503_and_works_again_by_itself(s3: S3, firm: Intake) -> None:
    lead_id = firm.submitted()
    s3.stop()
    answer = firm.submit()
    assert (answer.status_code, answer.json()["title"]) == (503, "Storage unavailable")
    assert answer.headers["Retry-After"]
    assert download(firm, lead_id).status_code == 503
    assert firm.count(lead) == 1
    s3.start()
    assert firm.submit().status_code == 204
    assert download(firm, lead_id).status_code == 503, "this server forgot it"
