"""GET /internal/leads/<id>/cv-download."""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update
from starlette.testclient import TestClient

from intake.database.schema import lead
from intake.leads import listing
from tests.conftest import Intake

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several chunks


def test_the_cv_is_returned_with_its_hash(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted(CV=("cv.bin", CONTENT))
    answer = attorney.get(f"/internal/leads/{lead_id}/cv-download")
    sha256 = hashlib.sha256(CONTENT)
    assert answer.content == CONTENT
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["ETag"] == f'"{sha256.hexdigest()}"'
    assert answer.headers["Repr-Digest"] == f"sha-256=:{b64encode(sha256.digest()).decode()}:"


def test_a_cv_is_an_attachment_and_can_not_run(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted(CV=("<b>.html", b"<script>alert(1)</script>"))
    headers = attorney.get(f"/internal/leads/{lead_id}/cv-download").headers
    assert headers["Content-Disposition"] == "attachment; filename=\"_b_.html\"; filename*=UTF-8''%3Cb%3E.html"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["résumé.pdf", 'a"b\\c.pdf', "履歴書.pdf", "a;b.pdf", "a%20b c.pdf"])
def test_the_name_in_the_header_is_ascii(attorney: TestClient, intake: Intake, name: str) -> None:
    lead_id = intake.submitted(CV=(name, b"x"))
    assert attorney.get(f"/internal/leads/{lead_id}/cv-download").headers["Content-Disposition"].isascii()


def test_if_none_match_avoids_a_second_download(attorney: TestClient, intake: Intake) -> None:
    path = f"/internal/leads/{intake.submitted()}/cv-download"
    tag = attorney.get(path).headers["ETag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = attorney.get(path, headers={"If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    assert attorney.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_sends_no_body(attorney: TestClient, intake: Intake) -> None:
    answer = attorney.head(f"/internal/leads/{intake.submitted(CV=('x', CONTENT))}/cv-download")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))


def test_a_cv_is_read_while_another_transaction_writes(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted(CV=("x", CONTENT))
    found = listing.get_lead(intake.database, lead_id)

    def work(connection: Connection) -> bytes:
        connection.execute(update(lead).values(f_name="Augusta"))
        return b"".join(listing.read_cv(intake.database, found))

    assert intake.write(work) == CONTENT


@pytest.fixture(params=["database", "store"])
def path(request: pytest.FixtureRequest, start: Callable[..., Intake], tmp_path: Path) -> tuple[Any, str]:
    """A client, and the path of a CV of 1 MiB in the database or in a store."""
    intake = start(cv_store=(tmp_path / "CVs").as_uri() if request.param == "store" else None)
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake.client, f"/internal/leads/{intake.submitted(CV=('cv.bin', CONTENT))}/cv-download"


SIZE = len(CONTENT)


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=1-", 1, SIZE),
        ("bytes=100-299", 100, 300),
        ("bytes=262143-262144", 262_143, 262_145),
        ("bytes=200000-900000", 200_000, 900_001),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=5-{SIZE + 5}", 5, SIZE),
        (f"bytes=5-{'9' * 900}", 5, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{SIZE + 9}", 0, SIZE),
        ("BYTES= 7-8 ", 7, 9),
    ],
)
def test_ranges(path: tuple[TestClient, str], asked: str, first: int, stop: int) -> None:
    client, where = path
    answer = client.get(where, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.content == CONTENT[first:stop]
    assert answer.headers["Content-Range"] == f"bytes {first}-{stop - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(stop - first)
    whole = client.get(where)
    for name in ("ETag", "Repr-Digest", "Accept-Ranges", "Content-Disposition", "Content-Type", "Cache-Control"):
        assert answer.headers[name] == whole.headers[name]
    assert "Content-Range" not in whole.headers


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={'9' * 900}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_unsatisfiable_ranges(attorney: TestClient, intake: Intake, asked: str) -> None:
    where = f"/internal/leads/{intake.submitted(CV=('cv.bin', CONTENT))}/cv-download"
    answer = attorney.get(where, headers={"Range": asked})
    assert (answer.status_code, answer.json()["title"]) == (416, "Range not satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "asked",
    [
        *("bytes=0-1,3-4", "bytes=5-2", "bytes=-", "bytes=", "bytes=a-b", "lines=0-1", "bytes 0-1", "bytes=1-2-3", ""),
        f"bytes={'9' * 5000}-",
        "bytes=\u0661-\u0662",
    ],
)
def test_several_or_invalid_ranges_return_the_whole_file(attorney: TestClient, intake: Intake, asked: str) -> None:
    where = f"/internal/leads/{intake.submitted()}/cv-download"
    answer = attorney.get(where, headers=[(b"Range", asked.encode())])
    assert (answer.status_code, answer.content) == (200, b"%PDF-1.4 a CV")


def test_two_headers_are_several_ranges(attorney: TestClient, intake: Intake) -> None:
    where = f"/internal/leads/{intake.submitted()}/cv-download"
    assert attorney.get(where, headers=[("Range", "bytes=0-1"), ("Range", "bytes=0-1")]).status_code == 200


def test_if_range_requires_the_same_file(attorney: TestClient, intake: Intake) -> None:
    where = f"/internal/leads/{intake.submitted()}/cv-download"
    tag = attorney.get(where).headers["ETag"]
    asked = {"Range": "bytes=1-2"}
    assert attorney.get(where, headers=asked | {"If-Range": tag}).status_code == 206
    for other in ('"other"', f"W/{tag}", "Wed, 21 Oct 2026 07:28:00 GMT", "*"):
        assert attorney.get(where, headers=asked | {"If-Range": other}).status_code == 200
    assert attorney.get(where, headers={"Range": "bytes=99-", "If-Range": '"other"'}).status_code == 200
    assert attorney.get(where, headers=asked | {"If-None-Match": tag}).status_code == 304
    assert attorney.head(where, headers=asked).status_code == 200, "only GET has ranges"


def test_a_damaged_cv_is_not_sent_whole_but_in_ranges(start: Callable[..., Intake], tmp_path: Path) -> None:
    intake = start(cv_store=(tmp_path / "CVs").as_uri())
    intake.client.headers.update(intake.bearer(intake.user()))
    where = f"/internal/leads/{intake.submitted(CV=('s', b'a CV'))}/cv-download"
    [file] = (tmp_path / "CVs").iterdir()
    file.write_bytes(b"! CV")
    assert intake.client.get(where, headers={"Range": "bytes=0-1"}).content == b"! "
    assert intake.client.get(where, headers={"Range": "bytes=0-"}).status_code == 500, "that is the whole"
