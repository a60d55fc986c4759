"""GET /internal/search: words, where they are found, pages."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, select
from starlette.testclient import TestClient

from intake.cv_text.runner import Extraction
from intake.database import Database, word_index
from intake.database.schema import audit, cv_text, lead, lead_words
from intake.leads import cv_texts, listing, searching, words
from intake.leads.models import ScanState, TextState
from tests.conftest import Intake
from tests.intake.internal_api.test_post_persons_erase import WAITING
from tests.intake.workers.test_mail import wait_for

PEOPLE = [
    ("ethan.nguyen@example.com", "Ethan", "Nguyễn"),
    ("garcia@example.com", "José", "García Márquez"),
    ("taro@example.jp", "太郎", "山田"),
    ("other@example.com", "Ethan", "Smith"),
]


@pytest.fixture
def client(attorney: TestClient, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """An attorney's client on a service with PEOPLE, oldest first."""
    monkeypatch.setattr(searching, "EXCERPTS_S", 60.0)  # on a busy machine, too
    for email, f_name, l_name in PEOPLE:
        intake.submitted(email=email, f_name=f_name, l_name=l_name)
    return attorney


def search(client: TestClient, q: str, **more: Any) -> Any:
    answer = client.get("/internal/search", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def marked(match: dict[str, Any]) -> list[str]:
    return [match["text"][start:end] for start, end in match["highlights"]]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("ethan nguyen", [1]),
        ("ETHAN", [4, 1]),
        ("garcia marq", [2]),
        ("山田 太郎", [3]),
        ("thomas", []),
        ("example com", [4, 2, 1]),
    ],
)
def test_leads_that_have_all_words_are_found_newest_first(client: TestClient, q: str, found: list[int]) -> None:
    page = search(client, q)
    assert [one["id"] for one in page["results"]] == found
    assert (page["total"], page["next"], page["unindexed"]) == (len(found), None, len(PEOPLE))
    assert [one["id"] for one in search(client, q, order="asc")["results"]] == found[::-1]


def test_results_show_where_the_words_are(client: TestClient) -> None:
    [result] = search(client, "nguyen e")["results"]
    assert list(result)[:7] == ["id", "email", "f_name", "l_name", "CV_name", "state", "created_at"]
    assert [(one["field"], one["text"], marked(one), one["page"]) for one in result["matches"]] == [
        ("f_name", "Ethan", ["Ethan"], None),
        ("l_name", "Nguyễn", ["Nguyễn"], None),
        ("email", "ethan.nguyen@example.com", ["ethan", "nguyen", "example"], None),
    ]
    assert result["search_truncated"] is False


def test_pages_and_filters(client: TestClient) -> None:
    first = search(client, "example", limit=2)
    assert ([one["id"] for one in first["results"]], first["next"], first["total"]) == ([4, 3], 3, 4)
    second = search(client, "example", limit=2, after=first["next"])
    assert ([one["id"] for one in second["results"]], second["next"], second["total"]) == ([2, 1], None, 4)
    client.patch("/internal/leads/2", json={"status": "ENGAGED"})
    filtered = search(client, "example", state="PENDING", f_name="e*")
    assert ([one["id"] for one in filtered["results"]], filtered["total"]) == ([4, 1], 2)
    assert search(client, "example", until="2020-01-01T00:00:00Z")["total"] == 0


def test_many_leads_are_not_counted(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_index, "MAX_PROBED", 2)
    page = search(client, "example", limit=2)
    assert ([one["id"] for one in page["results"]], page["total"], page["next"]) == ([4, 3], None, 3)
    assert search(client, "garcia")["total"] == 1


def test_a_lead_with_too_many_words_is_marked(client: TestClient, intake: Intake) -> None:
    intake.write(lambda c: c.execute(lead_words.update().values(search_truncated=lead_words.c.lead_id == 4)) and None)
    assert [one["search_truncated"] for one in search(client, "ethan")["results"]] == [True, False]


def test_a_search_is_recorded_without_its_words(client: TestClient, intake: Intake) -> None:
    search(client, "ethan", state="PENDING", limit=1)
    query = select(audit.c.user_id, audit.c.lead_id, audit.c.detail).where(audit.c.action == "search")
    assert [tuple(row) for row in intake.read(lambda c: c.execute(query).all())] == [(1, None, "by state, q")]


def read_cv(intake: Intake, text: str, *, pages: list[int] | None = None) -> int:
    """Store a text of the newest CV, as the worker does, and return the lead's id."""
    job = cv_texts.claim(intake.database)
    assert job is not None
    found = listing.get_lead(intake.database, job.lead_id)
    result = Extraction(state="done", text=text, pages=pages or [])
    assert cv_texts.record_text(intake.database, job, found, result) == TextState.DONE
    return job.lead_id


TEXT = "Thomas Müller\nWorked on an H-1B petition\tin 2019\n\nDeutsch, 中文\nReferences"


def test_words_of_cvs_are_found_and_quoted(client: TestClient, intake: Intake) -> None:
    lead_id = read_cv(intake, TEXT, pages=[0, TEXT.index("Deutsch")])
    page = search(client, "smith h-1b deutsch muller")
    [result] = page["results"]
    assert (result["id"], page["unindexed"]) == (lead_id, len(PEOPLE) - 1)
    assert [(one["field"], one["text"], marked(one), one["page"]) for one in result["matches"]] == [
        ("l_name", "Smith", ["Smith"], None),
        ("CV", "Thomas Müller", ["Müller"], 1),
        ("CV", "Worked on an H-1B petition\tin 2019", ["H-1B"], 1),
        ("CV", "Deutsch, 中文", ["Deutsch"], 2),
    ]
    assert [one["id"] for one in search(client, "中文")["results"]] == [lead_id]
    assert [one["id"] for one in client.get("/internal/leads/", params={"q": "ethan müll"}).json()] == [lead_id]


def test_a_visa_is_not_found_by_its_parts_in_other_words(client: TestClient, intake: Intake) -> None:
    read_cv(intake, "L-1B visa, Hospital of H, 1b Street")
    assert search(client, "h-1b visa")["total"] == 0
    assert [search(client, q)["total"] for q in ("l-1b hospital", "l1b visa", "L\u20111", "h 1b")] == [1, 1, 1, 1]


def test_words_with_several_marks_are_quoted(client: TestClient, intake: Intake) -> None:
    read_cv(intake, "zz \u0929\u1cd4 yy")
    [result] = search(client, "\u0928\u1cd4\u093c")["results"]
    assert [marked(one) for one in result["matches"]] == [["\u0929\u1cd4"]]


def test_a_cv_is_not_quoted_for_words_of_the_name(client: TestClient, intake: Intake) -> None:
    read_cv(intake, "Ethan Smith")
    assert [one["field"] for one in search(client, "ethan smith")["results"][0]["matches"]] == ["f_name", "l_name"]
    assert viewed(intake) == []


def test_cvs_are_not_quoted_after_the_time_for_a_page(
    client: TestClient, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in PEOPLE:
        read_cv(intake, "visa")
    monkeypatch.setattr(searching, "EXCERPTS_S", 0.0)
    page = search(client, "visa", limit=3)
    assert ([one["matches"] for one in page["results"]], page["unquoted"], page["total"]) == ([[]] * 3, 3, 4)
    assert viewed(intake) == [], "only quoted CVs count as viewed"
    assert search(client, "ethan smith")["unquoted"] == 0, "names need no time"
    monkeypatch.setattr(searching, "EXCERPTS_S", 60.0)
    assert search(client, "visa")["unquoted"] == 0


def test_a_search_without_matches_reads_no_cv(client: TestClient, intake: Intake) -> None:
    lead_id = read_cv(intake, "visa")
    page = search(client, "visa", matches="false")
    assert [(one["id"], one["matches"]) for one in page["results"]] == [(lead_id, [])]
    assert (page["total"], page["unquoted"], viewed(intake)) == (1, 0, [])


def test_results_have_the_sign_of_spam(client: TestClient, intake: Intake) -> None:
    intake.write(lambda c: c.execute(lead.update().where(lead.c.id == 4).values(suspect="honeypot")) and None)
    assert [one["suspect"] for one in search(client, "ethan")["results"]] == ["honeypot", None]


def viewed(intake: Intake) -> list[Any]:
    query = select(audit.c.user_id, audit.c.lead_id).where(audit.c.action == "cv-text").order_by(audit.c.id)
    return [tuple(row) for row in intake.read(lambda c: c.execute(query).all())]


def test_quoted_cvs_are_recorded_as_viewed_once_an_hour(client: TestClient, intake: Intake) -> None:
    for _ in PEOPLE:
        read_cv(intake, "visa")
    search(client, "visa", limit=2)
    assert viewed(intake) == [(1, 3), (1, 4)]
    search(client, "visa", limit=3)
    assert viewed(intake) == [(1, 3), (1, 4), (1, 2)]
    assert client.get("/internal/leads/4/cv-text").status_code == 200
    assert len(viewed(intake)) == 3


def test_a_quarantine_deletes_the_words(client: TestClient, intake: Intake) -> None:
    lead_id = read_cv(intake, "secretword")
    assert search(client, "secretword")["total"] == 1

    def quarantine(connection: Connection) -> None:
        words.lock_leads(connection, [lead_id])
        cv_texts.withhold(connection, lead_id, ScanState.QUARANTINED)

    intake.write(quarantine)
    assert search(client, "secretword")["total"] == 0
    assert [one["id"] for one in search(client, "ethan smith")["results"]] == [lead_id]
    stored = intake.read(
        lambda c: c.execute(select(lead_words.c.words).where(lead_words.c.lead_id == lead_id)).scalar()
    )
    assert "secretword" not in stored


def test_texts_are_indexed_again_with_a_new_tokenizer(client: TestClient, intake: Intake) -> None:
    lead_id = read_cv(intake, "immigration")
    intake.write(lambda c: c.execute(lead_words.update().values(version=0)) and None)
    intake.write(lambda c: c.execute(cv_text.update().values(text="naturalization")) and None)
    assert sum(words.index_outdated(intake.database)) == len(PEOPLE)
    assert search(client, "immigration")["total"] == 0
    assert [one["id"] for one in search(client, "naturalization smith")["results"]] == [lead_id]


def test_an_extraction_waits_for_the_index_of_its_lead(client: TestClient, intake: Intake) -> None:
    if intake.settings.sqlite_file is not None:
        return  # SQLite has one writer at a time
    intake.write(lambda c: c.execute(lead_words.delete()) and None)
    with ThreadPoolExecutor(1) as pool:

        def index_slowly(connection: Connection) -> Any:
            words.index_leads(connection, [4])
            reading = pool.submit(read_cv, intake, "immigration")
            wait_for(lambda: intake.read(lambda c: c.execute(WAITING).scalar_one()) == 1)
            return reading

        other = Database(intake.settings, connections=1)
        assert other.write(index_slowly).result() == 4
        other.close()
    assert [one["id"] for one in search(client, "immigration smith")["results"]] == [4]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("q=-", "q"),
        ("q=" + "+".join(map(str, range(17))), "q"),
        ("q=a&limit=101", "limit"),
        ("q=a&state=LOST", "state"),
        ("q=a&words=b", "words"),
    ],
)
def test_invalid_queries_name_the_parameter(client: TestClient, query: str, field: str) -> None:
    answer = client.get(f"/internal/search?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
