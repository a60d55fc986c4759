"""GET /internal/leads/<id>/cv-download."""

import hashlib
from base64 import b64encode

import pytest
from httpx2 import Response
from sqlalchemy import Connection, update
from starlette.testclient import TestClient

from intake.database.schema import lead
from tests.conftest import Intake

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several pieces


def test_the_bytes_come_back_with_their_hash(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted(CV=("cv.bin", CONTENT))
    answer = attorney.get(f"/internal/leads/{lead_id}/cv-download")
    sha256 = hashlib.sha256(CONTENT)
    assert answer.content == CONTENT
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["ETag"] == f'"{sha256.hexdigest()}"'
    assert answer.headers["Repr-Digest"] == f"sha-256=:{b64encode(sha256.digest()).decode()}:"


def test_it_is_a_file_to_save_and_nothing_to_run(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted(CV=("<b>.html", b"<script>alert(1)</script>"))
    headers = attorney.get(f"/internal/leads/{lead_id}/cv-download").headers
    assert headers["Content-Disposition"] == "attachment; filename=\"_b_.html\"; filename*=UTF-8''%3Cb%3E.html"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox"
    assert headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("name", ["résumé.pdf", 'a"b\\c.pdf', "履歴書.pdf", "a;b.pdf", "a%20b c.pdf"])
def test_the_name_in_the_header_is_ascii(attorney: TestClient, intake: Intake, name: str) -> None:
    lead_id = intake.submitted(CV=(name, b"x"))
    assert attorney.get(f"/internal/leads/{lead_id}/cv-download").headers["Content-Disposition"].isascii()


def test_what_one_has_already_is_not_sent_again(attorney: TestClient, intake: Intake) -> None:
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


def test_it_is_read_while_another_transaction_writes(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted(CV=("x", CONTENT))

    def work(connection: Connection) -> Response:
        connection.execute(update(lead).values(f_name="Augusta"))
        return attorney.get(f"/internal/leads/{lead_id}/cv-download")

    assert intake.write(work).content == CONTENT
