"""POST /leads/: a submission is saved, or refused with all errors."""

import hashlib
import json
import resource
import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from intake.database.schema import cv, cv_content, lead, outbox_mail
from tests.conftest import Intake

# between two letters, since names without a visible character are refused and blanks at the ends are removed
PRESERVED = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=198).map(lambda text: f"a{text}z")
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
SLOWLY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize("path", ["/leads", "/leads/"])
def test_a_lead_is_saved_with_its_cv_and_mails(intake: Intake, path: str) -> None:
    form = {"email": "Ada@EXAMPLE.com", "f_name": " Ada ", "l_name": "Lovelace"}
    answer = intake.client.post(path, data=form, files={"CV": ("cv.pdf", b"%PDF-1.4 a CV")}, follow_redirects=False)
    assert (answer.status_code, answer.content) == (204, b"")
    [row] = intake.read(lambda c: c.execute(select(lead)).mappings().all())
    assert (row["email"], row["f_name"], row["l_name"]) == ("Ada@example.com", "Ada", "Lovelace")
    assert (row["CV_name"], row["state"]) == ("cv.pdf", "PENDING")
    [metadata] = intake.read(lambda c: c.execute(select(cv)).mappings().all())
    [content] = intake.read(lambda c: c.execute(select(cv_content.c.content)).scalars().all())
    assert bytes(content) == b"%PDF-1.4 a CV"
    assert metadata["sha256"] == hashlib.sha256(b"%PDF-1.4 a CV").hexdigest()
    assert (metadata["size"], metadata["detected_type"]) == (13, "application/pdf")
    assert metadata["store_key"] is None
    mails = intake.read(lambda c: c.execute(select(outbox_mail).order_by(outbox_mail.c.id)).mappings().all())
    assert [(mail["kind"], mail["recipient"], mail["state"]) for mail in mails] == [
        ("confirmation", "Ada@example.com", "queued"),
        ("alert", "harriet@firm.example", "queued"),
        ("alert", "peter@firm.example", "queued"),
    ]
    assert len({mail["message_id"] for mail in mails}) == 3


def test_the_timestamp_is_from_the_database_in_utc(intake: Intake) -> None:
    lead_id = intake.submitted()
    row = intake.read(lambda c: c.execute(select(lead).where(lead.c.id == lead_id)).one())
    assert row.created_at.utcoffset().total_seconds() == 0
    assert abs(row.state_since - row.created_at).total_seconds() < 5


@pytest.mark.parametrize("size", [1, 2**18 - 1, 2**18, 2**20 + 1, 3_000_000])
def test_a_cv_of_any_size_is_saved(intake: Intake, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    lead_id = intake.submitted(CV=("x.bin", content[:size]))
    saved = intake.read(
        lambda c: c.execute(select(cv_content.c.content).where(cv_content.c.lead_id == lead_id)).scalar_one()
    )
    assert bytes(saved) == content[:size]


@SLOWLY
@given(f_name=PRESERVED, l_name=PRESERVED)
def test_any_name_is_returned_unchanged(intake: Intake, f_name: str, l_name: str) -> None:
    if not intake.client.headers.get("Authorization"):
        intake.client.headers.update(intake.bearer(intake.user()))
    lead_id = intake.submitted(f_name=f_name, l_name=l_name)
    answer = intake.client.get(f"/internal/leads/{lead_id}").json()
    assert (answer["f_name"], answer["l_name"]) == (f_name, l_name)


@SLOWLY
@given(email=ANY, f_name=ANY, l_name=ANY, content=st.binary(max_size=50))
def test_no_input_causes_a_500(intake: Intake, email: str, f_name: str, l_name: str, content: bytes) -> None:
    answer = intake.submit(email=email, f_name=f_name, l_name=l_name, CV=("cv", content))
    assert answer.status_code in (204, 422), answer.text


def test_all_invalid_fields_are_listed(intake: Intake) -> None:
    answer = intake.submit(email="ada", f_name="", l_name="a\0b", CV=("cv.pdf", b""))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["title"], problem["status"]) == ("Invalid fields", 422)
    assert [fault["field"] for fault in problem["errors"]] == ["f_name", "l_name", "email", "CV"]
    assert intake.count(lead) == intake.count(cv) == intake.count(outbox_mail) == 0


def test_an_empty_body_lists_all_four_fields(intake: Intake) -> None:
    answer = intake.client.post(
        "/leads/", content=b"--x--\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert [fault["field"] for fault in answer.json()["errors"]] == ["f_name", "l_name", "email", "CV"]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("application/x-www-form-urlencoded", b"email=a", 415),
        ("", b"", 415),
        ("multipart/form-data", b"", 400),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\na', 400),
        ("multipart/form-data; boundary=x", b"noise", 400),
        ("multipart/form-data; boundary=x", b"", 400),
    ],
)
def test_bodies_other_than_forms(intake: Intake, content_type: str, body: bytes, status: int) -> None:
    answer = intake.client.post("/leads/", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert intake.count(lead) == 0


def test_a_cv_over_the_limit_is_refused_declared_or_not(start: Callable[..., Intake]) -> None:
    intake = start(max_cv_bytes=1000)
    assert intake.submit(CV=("x", b"x" * 1000)).status_code == 204
    assert intake.submit(CV=("x", b"x" * 1001)).status_code == 413
    for length in ("1000000000", "18446744073709551614"):
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": length}
        declared = intake.client.post("/leads/", content=b"", headers=headers)
        assert declared.status_code == 413
        assert declared.headers["content-type"] == "application/problem+json"
        assert "1000 bytes" in declared.json()["detail"]
    assert intake.count(lead) == 1


def test_an_unsupported_method(intake: Intake) -> None:
    answer = intake.client.get("/leads/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["detail"] == "'/leads/' does not support 'GET'"


def test_leads_begin_in_the_first_configured_state(start: Callable[..., Intake]) -> None:
    intake = start(states=("NEW", "DONE"))
    intake.submitted()
    assert intake.read(lambda c: c.execute(select(lead.c.state)).scalar_one()) == "NEW"


def test_concurrent_submissions_are_all_saved(intake: Intake) -> None:
    def submit_some(number: int) -> None:
        statuses.extend(intake.submit(f_name=f"{number}-{n}").status_code for n in range(5))

    statuses: list[int] = []
    threads = [threading.Thread(target=submit_some, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [204] * 40
    assert intake.count(lead) == intake.count(cv) == 40
    assert intake.count(outbox_mail) == 120


def test_ids_are_never_reused(intake: Intake) -> None:
    first = intake.submitted()
    intake.write(lambda c: c.execute(lead.delete().where(lead.c.id == first)))
    assert intake.count(cv) == intake.count(outbox_mail) == 0
    assert intake.submitted() > first


def test_a_full_disk_is_503(intake: Intake) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, hard))
    try:
        answer = intake.submit(CV=("x", b"x" * 2**22))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (answer.status_code, answer.json()["title"]) == (503, "Storage unavailable")
    assert answer.headers["Retry-After"]
    assert intake.submit().status_code == 204


def test_a_problem_is_json_in_utf8(intake: Intake) -> None:
    answer = intake.submit(email="zoë@@example.com")
    assert json.loads(answer.content.decode("utf-8"))["status"] == 422


@pytest.mark.parametrize("name", ["\u200b", "\u3164", "\u2800", "\u00ad\u034f"])
def test_a_name_without_a_visible_character_is_missing(intake: Intake, name: str) -> None:
    response = intake.submit(l_name=name)
    assert (response.status_code, response.json()["detail"]) == (422, "l_name: is required")
