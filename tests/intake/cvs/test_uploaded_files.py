"""What kind of file a CV may be, at both doors, and what is told of it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from intake.cvs import inspection
from intake.database.schema import lead
from tests.conftest import Intake
from tests.files import docx, pdf
from tests.intake.cvs.test_inspection import PE, USUAL

FORM = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}


@pytest.fixture
def firm(start: Callable[..., Intake]) -> Intake:
    """The service with the usual extensions."""
    intake = start(cv_extensions=USUAL)
    intake.client.headers.update(intake.bearer(intake.user()))
    return intake


@pytest.mark.parametrize("path", ["/leads/", "/internal/leads/"])
@pytest.mark.parametrize(
    ("file", "detail"),
    [
        (("cv.pdf", PE), "must not be a program; send a document such as a PDF"),
        (
            ("cv.docx", docx({"word/cv.exe": b"x"})),
            "must not be an archive with a program in it; send a document",
        ),
        (("cv.zip", b"Ada"), "must have a file name that ends in .pdf, .doc, .docx, .odt"),
        (("cv", b"Ada"), "must have a file name that ends in .pdf, .doc, .docx, .odt"),
    ],
    ids=["program", "program in it", "extension", "no extension"],
)
def test_what_is_refused_at_either_door(firm: Intake, path: str, file: tuple[str, bytes], detail: str) -> None:
    answer = firm.client.post(path, data={**FORM, "f_name": ""}, files={"CV": file})
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["errors"]] == ["f_name", "CV"], "every fault at once"
    assert answer.json()["errors"][1]["detail"].startswith(detail)
    assert firm.count(lead) == 0


@pytest.mark.parametrize("path", ["/leads/", "/internal/leads/"])
def test_what_is_flagged_is_kept_and_told(firm: Intake, path: str) -> None:
    macros = ("cv.DOCX", docx({"word/vbaProject.bin": b"x", "word/embeddings/a.bin": b"x"}))
    assert firm.client.post(path, data=FORM, files={"CV": macros}).status_code in (201, 204)
    [found] = firm.client.get("/internal/leads/").json()
    cv = firm.client.get(f"/internal/leads/{found['id']}").json()["CV"]
    assert cv["flags"] == ["embedded-file", "macros"]
    assert cv["detected_type"].endswith("wordprocessingml.document")
    assert (cv["scan_state"], cv["signature"]) == ("unscanned", None)


def test_a_large_file_is_looked_at_on_the_disk(firm: Intake) -> None:
    content = pdf("x" * 3_000_000 + "<</S/JavaScript>>")
    lead_id = firm.submitted(CV=("cv.pdf", content))
    assert firm.client.get(f"/internal/leads/{lead_id}").json()["CV"]["flags"] == ["javascript"]
    assert firm.client.get(f"/internal/leads/{lead_id}/cv-download").content == content


def test_any_extension_will_do_where_the_firm_says_so(attorney: TestClient, intake: Intake) -> None:
    assert intake.submit(CV=("cv.pages", b"Ada")).status_code == 204
    assert intake.submit(CV=("cv.pages", PE)).status_code == 422


def test_two_strangers_files_are_looked_at_at_once_whoever_sends_how_many(
    firm: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at, most = set[object](), 0

    def slow(*arguments: Any, **more: Any) -> Any:
        nonlocal most
        looked_at.add(one := object())
        most = max(most, len(looked_at))
        time.sleep(0.05)
        looked_at.remove(one)
        return inspected(*arguments, **more)

    inspected = inspection._inspect
    monkeypatch.setattr(inspection, "_inspect", slow)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: firm.submit().status_code, range(8)))
    assert (answers, most) == ([204] * 8, 2)
