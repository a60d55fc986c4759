"""POST /internal/persons/export."""

import inspect
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from intake.audit import Actor
from intake.database.schema import audit, cv
from intake.leads import cv_texts, erasure, export
from intake.leads.data_subjects import DataSubject
from tests.conftest import Intake
from tests.intake.internal_api.test_post_persons_erase import administered

CONTENT = bytes(range(256)) * 4_000  # 1 MB: several chunks


@pytest.fixture
def admin(intake: Intake) -> TestClient:
    """A client authenticated as an administrator."""
    return administered(intake)


def exported(client: TestClient, email: str = "ada@example.com") -> zipfile.ZipFile:
    answer = client.post("/internal/persons/export", json={"email": email})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    assert 'filename="person.zip"' in answer.headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def document(archive: zipfile.ZipFile) -> dict[str, Any]:
    return json.loads(archive.read("person.json"))  # type: ignore[no-any-return]


def test_long_file_names_fit_into_file_systems(intake: Intake, admin: TestClient, tmp_path: Path) -> None:
    lead_id = intake.submitted(CV=("漢" * 200 + ".pdf", CONTENT))
    archive = exported(admin)
    [path] = [name for name in archive.namelist() if name.startswith("cvs/")]
    assert path.startswith(f"cvs/{lead_id}-漢漢")
    assert path.endswith(".pdf")
    archive.extractall(tmp_path)
    assert (tmp_path / path).read_bytes() == CONTENT


@pytest.mark.parametrize("where", ["database", "store"])
def test_an_export_has_all_data_of_a_person(start: Callable[..., Intake], tmp_path: Path, where: str) -> None:
    intake = start(cv_store=(tmp_path / "CVs").as_uri() if where == "store" else None)
    client = administered(intake)
    intake.submitted(email="grace@example.com", f_name="Grace")
    first = intake.submitted(CV=("Lebenslauf Ä.pdf", CONTENT))
    second = intake.submitted(email="ADA@example.com", CV=("b.txt", b"a second CV"))
    client.patch(f"/internal/leads/{first}", json={"status": "ENGAGED"})
    job = cv_texts.claim(intake.database)
    assert job is not None
    cv_texts.extract(intake.database, job, mode=intake.settings.cv_sandbox, is_stopping=lambda: False)
    archive = exported(client)
    names = ["person.json", f"cvs/{first}-Lebenslauf Ä.pdf", f"cvs/{second}-b.txt", f"texts/{second}.txt"]
    assert archive.namelist() == names
    assert [archive.read(name) for name in names[1:]] == [CONTENT, b"a second CV", b"a second CV"]
    person = document(archive)
    assert person["email"] == "ada@example.com"
    one, other = person["leads"]
    differing = {"CV": None, "fields": None, "consents": None}
    assert (client.get(f"/internal/leads/{first}").json() | differing).items() <= (one | differing).items()
    assert {"external_id", "state_since"} <= set(one)
    assert not any(name.endswith("_key") or name.startswith(("store", "claim")) for name in one | one["CV"])
    assert one["CV"]["size"] == len(CONTENT)
    assert set(one["search"]) == {"words", "search_truncated"}
    assert sorted(one["search"]["words"]) == ["ada", "com", "example", "lovelace"]
    assert [one["CV_path"], other["CV_path"]] == names[1:3]
    assert [one["CV_text"]["state"], other["CV_text"]["state"]] == ["pending", "done"]
    assert [(event["user"], event["from"], event["to"]) for event in one["history"]] == [
        ("harriet", "PENDING", "ENGAGED")
    ]
    assert [mail["kind"] for mail in one["mails"]] == ["confirmation", "alert", "alert"]
    assert {mail["state"] for mail in other["mails"]} == {"suppressed", "queued"}
    assert other["history"] == []


def test_the_audit_trail_records_the_export_but_not_the_person(intake: Intake, admin: TestClient) -> None:
    number = intake.submitted()
    exported(admin)
    query = select(audit.c.lead_id, audit.c.user_id, audit.c.detail).where(audit.c.action == "export")
    assert [tuple(row) for row in intake.read(lambda c: c.execute(query).all())] == [(number, 1, None)]


@pytest.mark.parametrize("state", ["quarantined", "scanning"])
def test_possibly_infected_cvs_are_omitted(intake: Intake, admin: TestClient, state: str) -> None:
    omitted, clean = intake.submitted(), intake.submitted(CV=("b.txt", b"fine"))
    intake.write(lambda c: c.execute(update(cv).where(cv.c.lead_id == omitted).values(scan_state=state)))
    archive = exported(admin)
    assert archive.namelist() == ["person.json", "omitted.json", f"cvs/{clean}-b.txt"]
    assert json.loads(archive.read("omitted.json")) == [omitted]
    one, other = document(archive)["leads"]
    assert (one["id"], one["CV"]["scan_state"], one["CV_path"]) == (omitted, state, None)
    assert other["CV_path"] == f"cvs/{clean}-b.txt"
    assert not any(name.startswith(("scan_c", "scan_a", "next")) for name in one["CV"])


@pytest.mark.parametrize("clamd", ["unix:///nowhere", None])
def test_cvs_too_large_to_scan_are_omitted_with_a_scanner(start: Callable[..., Intake], clamd: str | None) -> None:
    intake = start(clamd=clamd)
    intake.client.headers.update(intake.bearer(intake.user("harriet", role="admin")))
    number = intake.submitted()
    intake.write(lambda c: c.execute(update(cv).values(scan_state="too-large-to-scan")))
    archive = exported(intake.client)
    given = None if clamd else f"cvs/{number}-cv.pdf"
    assert archive.namelist() == ["person.json", given or "omitted.json"]
    assert document(archive)["leads"][0]["CV_path"] == given


HOSTILE = ["..", "...", "x\u202efdp.png", "a:b|c?.pdf", "é" * 250 + ".pdf", "con.txt", "-rf .", "\u200b"]


def test_paths_are_safe(intake: Intake, admin: TestClient) -> None:
    ids = [intake.submitted(CV=(f"{name}x" if name.startswith("..") else name, b"x")) for name in HOSTILE]
    names = exported(admin).namelist()[1:]
    for number, name in zip(ids, names, strict=True):
        folder, _, base = name.partition("/")
        assert (folder, base.partition("-")[0]) == ("cvs", str(number))
        assert base.isprintable()
        assert not set(base) & set('<>:"/\\|?*')
        assert base == base.rstrip(". ")
        assert len(base) < 140
    assert names[4].endswith(".pdf")


def test_memory_holds_one_chunk(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH_LEADS", 3)
    for n in range(10):
        intake.submitted(f_name=f"A{n}", CV=("cv", CONTENT))
    pieces = list(
        export.export(intake.database, DataSubject.parse("ada@example.com"), actor=Actor(), has_scanner=False)
    )
    assert max(map(len, pieces)) < 400_000
    whole = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert len(document(whole)["leads"]) == 10
    assert sum(one.file_size for one in whole.infolist()) > 10 * len(CONTENT)


def test_an_interrupted_export_is_incomplete(start: Callable[..., Intake], tmp_path: Path) -> None:
    folder = tmp_path / "CVs"
    intake = start(cv_store=folder.as_uri())
    client = administered(intake)
    intake.submitted(CV=("cv", CONTENT))
    [file] = folder.iterdir()
    file.write_bytes(CONTENT[::-1])
    with client.stream("POST", "/internal/persons/export", json={"email": "ada@example.com"}) as cut:
        received = b"".join(cut.iter_raw())
    assert not zipfile.is_zipfile(io.BytesIO(received))


def test_an_aborted_export_is_closed_at_once(
    intake: Intake, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports: list[Any] = []
    start_export = export.export

    def record_export(*arguments: Any, **more: Any) -> Any:
        exports.append(start_export(*arguments, **more))
        return exports[-1]

    async def disconnecting(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                raise ClientDisconnect
            await send(message)

        await admin.app(scope, receive, send_head)

    intake.submitted(CV=("cv", CONTENT))
    monkeypatch.setattr(export, "export", record_export)
    client = TestClient(disconnecting, headers=dict(admin.headers))
    client.app_state.update(admin.app_state)
    with pytest.raises(ClientDisconnect):
        client.post("/internal/persons/export", json={"email": "ada@example.com"})
    assert [inspect.getgeneratorstate(one) for one in exports] == [inspect.GEN_CLOSED]


@pytest.mark.parametrize(("email", "status"), [("bob@example.com", 404), ("*@example.com", 404), ("ada", 422)])
def test_unknown_persons(intake: Intake, admin: TestClient, email: str, status: int) -> None:
    intake.submitted()
    assert admin.post("/internal/persons/export", json={"email": email}).status_code == status


def test_the_history_names_who_created_a_lead_manually(intake: Intake, admin: TestClient) -> None:
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    number = admin.post("/internal/leads/", data=form, files={"CV": ("cv", b"x")}).json()["id"]
    admin.patch(f"/internal/leads/{number}", json={"status": "ENGAGED"})
    [one] = document(exported(admin))["leads"]
    assert [(event["user"], event["from"], event["to"], event["change_id"]) for event in one["history"]] == [
        ("harriet", None, "PENDING", None),
        ("harriet", "PENDING", "ENGAGED", None),
    ]


def test_an_export_of_a_person_who_is_erased_meanwhile_is_one_line_in_the_log(
    intake: Intake, admin: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    person = DataSubject.parse("ada@example.com")

    async def erasing(scope: Scope, receive: Receive, send: Send) -> None:
        is_erased = False

        async def send_and_erase(message: Message) -> None:
            nonlocal is_erased
            if message["type"] == "http.response.body" and not is_erased:
                is_erased = True
                erasure.erase(intake.database, person, actor=Actor())
            await send(message)

        await admin.app(scope, receive, send_and_erase)

    for _ in range(3):
        intake.submitted(CV=("cv", os.urandom(2**20)))
    client = TestClient(erasing, headers=dict(admin.headers))
    client.app_state.update(admin.app_state)
    with client.stream("POST", "/internal/persons/export", json={"email": "ada@example.com"}) as cut:
        received = b"".join(cut.iter_raw())
    assert not zipfile.is_zipfile(io.BytesIO(received))
    [record] = [one for one in caplog.records if "incomplete" in one.message]
    assert "deleted during the download" in record.message or "there is no lead" in record.message
    assert not any(one.exc_info for one in caplog.records)
