"""File types that both APIs accept as CVs, and the flags they return."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from intake.cvs import inspection
from intake.database.schema import lead
from tests.conftest import Intake
from tests.files import docx, pdf
from tests.intake.cvs.test_inspection import DEFAULT_EXTENSIONS, PE

FORM = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}


@pytest.fixture
def intake(start: Callable[..., Intake]) -> Intake:
    """The service with the default extensions, and a client authenticated as an attorney."""
    intake = start(cv_extensions=DEFAULT_EXTENSIONS)
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
    ids=["program", "program in a document", "extension", "no extension"],
)
def test_both_apis_reject_programs_and_other_extensions(
    intake: Intake, path: str, file: tuple[str, bytes], detail: str
) -> None:
    answer = intake.client.post(path, data={**FORM, "f_name": ""}, files={"CV": file})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["f_name", "CV"], "all errors at once"
    assert answer.json()["errors"][1]["detail"].startswith(detail)
    assert intake.count(lead) == 0


@pytest.mark.parametrize("path", ["/leads/", "/internal/leads/"])
def test_flagged_cvs_are_saved_with_their_flags(intake: Intake, path: str) -> None:
    macros = ("cv.DOCX", docx({"word/vbaProject.bin": b"x", "word/embeddings/a.bin": b"x"}))
    assert intake.client.post(path, data=FORM, files={"CV": macros}).status_code in (201, 204)
    [found] = intake.client.get("/internal/leads/").json()
    cv = intake.client.get(f"/internal/leads/{found['id']}").json()["CV"]
    assert cv["flags"] == ["embedded-file", "macros"]
    assert cv["detected_type"].endswith("wordprocessingml.document")
    assert (cv["scan_state"], cv["signature"]) == ("unscanned", None)


def test_a_large_file_is_inspected_on_disk(intake: Intake) -> None:
    content = pdf("x" * 3_000_000 + "<</S/JavaScript>>")
    lead_id = intake.submitted(CV=("cv.pdf", content))
    assert intake.client.get(f"/internal/leads/{lead_id}").json()["CV"]["flags"] == ["javascript"]
    assert intake.client.get(f"/internal/leads/{lead_id}/cv-download").content == content


def test_without_an_extension_list_only_programs_are_rejected(start: Callable[..., Intake]) -> None:
    intake = start()
    assert intake.submit(CV=("cv.pages", b"Ada")).status_code == 204
    assert intake.submit(CV=("cv.pages", PE)).status_code == 422


def test_at_most_two_files_are_inspected_at_once(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = set[object](), 0

    def slow(*arguments: Any, **more: Any) -> Any:
        nonlocal most
        running.add(current := object())
        most = max(most, len(running))
        time.sleep(0.05)
        running.remove(current)
        return inspect(*arguments, **more)

    inspect = inspection._inspect
    monkeypatch.setattr(inspection, "_inspect", slow)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: intake.submit().status_code, range(8)))
    assert (answers, most) == ([204] * 8, 2)
