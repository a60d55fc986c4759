"""GET /internal/leads/: the whole array, filters, pages."""

import json
import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, text
from starlette.testclient import TestClient

from intake.database import word_index
from intake.database.clock import Now
from intake.database.schema import cv, lead, lead_words
from intake.leads import listing
from intake.leads.listing import LeadQuery, list_statement
from intake.leads.normalization import normalize_key
from intake.leads.words import index_leads, words_row
from intake.search.tokenizer import query_tokens, tokenize
from tests.conftest import Intake

PEOPLE = [
    ("ada@example.com", "Ada", "Lovelace"),
    ("grace@example.org", "Grace", "Hopper"),
    ("zoe@straße.example.com", "Zoë", "Weiß"),
    ("per_cent@example.com", "100%", "Under_Score"),
    ("star@example.com", "St*r", r"Back\slash"),
    ("taro@example.jp", "太郎", "山田"),
]


@pytest.fixture
def client(attorney: TestClient, intake: Intake) -> TestClient:
    """An attorney's client on a service with PEOPLE, oldest first."""
    for email, f_name, l_name in PEOPLE:
        intake.submitted(email=email, f_name=f_name, l_name=l_name)
    return attorney


def names(client: TestClient, **query: object) -> list[str]:
    answer = client.get("/internal/leads/", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return [one["f_name"] for one in answer.json()]


@pytest.mark.parametrize("path", ["/internal/leads", "/internal/leads/"])
def test_the_array_has_exactly_these_fields_in_this_order(client: TestClient, path: str) -> None:
    answer = client.get(path, follow_redirects=False)
    assert answer.headers["content-type"] == "application/json"
    first = answer.json()[0]
    assert list(first) == ["id", "email", "f_name", "l_name", "CV_name", "state", "created_at"]
    assert [type(value) for value in first.values()] == [int, str, str, str, str, str, str]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", first["created_at"])


def test_all_leads_oldest_first(client: TestClient) -> None:
    assert names(client) == [f_name for _, f_name, _ in PEOPLE]
    assert names(client, order="desc") == [f_name for _, f_name, _ in reversed(PEOPLE)]


def test_no_leads_are_an_empty_array(attorney: TestClient) -> None:
    assert attorney.get("/internal/leads/").content == b"[]"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"email": "ADA@EXAMPLE.COM"}, ["Ada"]),
        ({"email": "ada"}, []),
        ({"email": "*@example.com"}, ["Ada", "100%", "St*r"]),
        ({"email": "*@*example.com"}, ["Ada", "Zoë", "100%", "St*r"]),
        ({"email": "*STRASSE*"}, ["Zoë"]),
        ({"f_name": "zoë"}, ["Zoë"]),
        ({"f_name": "Zoe\u0308"}, ["Zoë"]),
        ({"f_name": "zoe"}, []),
        ({"l_name": "WEISS"}, ["Zoë"]),
        ({"f_name": "100%"}, ["100%"]),
        ({"f_name": "%"}, []),
        ({"l_name": "Under_Score"}, ["100%"]),
        ({"l_name": "Under?Score"}, []),
        ({"l_name": "u*_*"}, ["100%"]),
        ({"f_name": r"St\*r"}, ["St*r"]),
        ({"f_name": "St＊r"}, ["St*r"]),
        ({"f_name": "St*"}, ["St*r"]),
        ({"l_name": r"back\*"}, []),
        ({"l_name": r"back*\slash"}, ["St*r"]),
        ({"f_name": "太*"}, ["太郎"]),
        ({"f_name": "*"}, [f_name for _, f_name, _ in PEOPLE]),
        ({"f_name": ""}, []),
        ({"email": "*der*"}, []),
        ({"email": "*per_c*"}, ["100%"]),
        ({"q": "LOVE"}, ["Ada"]),
        ({"q": "ove"}, []),
        ({"q": "example.com"}, ["Ada", "Zoë", "100%", "St*r"]),
        ({"q": "com example"}, ["Ada", "Zoë", "100%", "St*r"]),
        ({"q": "zoe weiss"}, ["Zoë"]),
        ({"q": "ZOË"}, ["Zoë"]),
        ({"q": "strasse"}, ["Zoë"]),
        ({"q": "100%"}, ["100%"]),
        ({"q": "under_"}, ["100%"]),
        ({"q": "score"}, []),
        ({"q": "山"}, ["太郎"]),
        ({"q": "田"}, ["太郎"]),
        ({"q": "山太"}, []),
        ({"q": "ada lovelace"}, ["Ada"]),
        ({"q": '"ada"'}, ["Ada"]),
        ({"q": "ada grace"}, []),
        ({"q": "ada OR grace"}, []),
        ({"q": "f_name:ada"}, []),
        ({"q": "ada'; slash"}, []),
        ({"q": "back\\sl"}, ["St*r"]),
        ({"q": "ADA", "state": "PENDING"}, ["Ada"]),
        ({"q": "ada", "l_name": "x*"}, []),
        ({"email": "*@example.com", "l_name": "love*"}, ["Ada"]),
        ({"state": "PENDING"}, [f_name for _, f_name, _ in PEOPLE]),
        ({"state": "ENGAGED"}, []),
        ({"state": ["ENGAGED", "PENDING"], "f_name": "Ada"}, ["Ada"]),
        ({"since": "2020-01-01T00:00:00Z", "f_name": "Ada"}, ["Ada"]),
        ({"since": "2999-01-01T00:00:00+01:00"}, []),
        ({"until": "2999-01-01T00:00:00-12:00", "f_name": "Ada"}, ["Ada"]),
        ({"until": "2020-01-01T00:00:00Z"}, []),
    ],
)
def test_filters(client: TestClient, query: dict[str, object], found: list[str]) -> None:
    assert names(client, **query) == found


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text("aA*\\%_ßſıİ\u0301e\U0010ffff\ud7ff", min_size=1, max_size=6), data=st.data())
def test_a_value_is_found_by_itself_its_prefix_and_its_suffix(
    attorney: TestClient, intake: Intake, value: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(value)))
    row = {"email": "a@b", "f_name": value, "l_name": "x", "CV_name": "x", "state": "PENDING"}
    keys = {"email_key": "a@b", "f_name_key": normalize_key(value), "l_name_key": "x"}
    lead_id = intake.write(lambda c: c.execute(insert(lead).returning(lead.c.id), {**row, **keys}).scalar_one())

    def is_found(pattern: str) -> bool:
        return lead_id in [one["id"] for one in attorney.get("/internal/leads", params={"f_name": pattern}).json()]

    def escaped(part: str) -> str:
        return part.replace("*", r"\*")

    assert is_found(escaped(value))
    assert is_found("*")
    if normalize_key(value) == normalize_key(value[:cut]) + normalize_key(value[cut:]) and not value[:cut].endswith(
        "\\"
    ):
        assert is_found(escaped(value[:cut]) + "*")
        assert is_found("*" + escaped(value[cut:]))
        assert is_found(escaped(value[:cut]) + "*" + escaped(value[cut:]))


WORDS = ["a", "ab", "abc", "Ábcd", "abcde", "b-1", "ﬁ", "太郎山", "x_y", "हिन्दी", "common"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=5), max_size=6), data=st.data())
def test_both_indexes_find_what_a_plain_search_finds(
    attorney: TestClient, intake: Intake, monkeypatch: pytest.MonkeyPatch, texts: list[list[str]], data: st.DataObject
) -> None:
    monkeypatch.setattr(word_index, "MAX_PROBED", data.draw(st.sampled_from([0, 1, 2_000])))
    monkeypatch.setattr(word_index, "MAX_TERMS", data.draw(st.sampled_from([0, 1, 64])))
    insert_leads(intake, [" ".join(text) for text in texts])
    word = st.sampled_from(WORDS).flatmap(lambda one: st.integers(1, len(one)).map(lambda end: one[:end]))
    wanted: dict[str, Any] = {"q": " ".join(data.draw(st.lists(word, min_size=1, max_size=3)))}
    wanted |= data.draw(st.sampled_from([{}, {"limit": 2}, {"state": "PENDING"}, {"l_name": "*a*"}, {"after": 3}]))
    wanted["order"] = data.draw(st.sampled_from(["asc", "desc"]))
    rows = intake.read(lambda c: c.execute(select(lead).order_by(lead.c.id)).mappings().all())
    ids = [row["id"] for row in rows if has_words(row["l_name"], wanted["q"])]
    if "l_name" in wanted:
        ids = [row["id"] for row in rows if row["id"] in ids and "a" in row["l_name_key"]]
    ids = ids if wanted["order"] == "asc" else ids[::-1]
    if "after" in wanted:
        ids = [one for one in ids if (one > 3 if wanted["order"] == "asc" else one < 3)]
    answer = attorney.get("/internal/leads", params=wanted)
    assert [one["id"] for one in answer.json()] == ids[: wanted.get("limit")]


def has_words(text: str, q: str) -> bool:
    tokens = list(tokenize(text))
    return all(any(token.startswith(prefix) for token in tokens) for prefix in query_tokens(q))


def insert_leads(intake: Intake, l_names: list[str]) -> None:
    """Insert leads with these last names, and no other words."""
    row = {"email": "a@b.c", "f_name": "A", "CV_name": "c", "email_key": "a@b.c", "f_name_key": "a", "state": "PENDING"}

    def work(connection: Connection) -> None:
        for name in l_names:
            values = {**row, "l_name": name, "l_name_key": normalize_key(name)}
            lead_id = connection.execute(insert(lead).returning(lead.c.id), values).scalar_one()
            connection.execute(insert(lead_words), {"lead_id": lead_id, **words_row([name])})

    intake.write(work)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_common_and_rare_words_are_found_with_every_filter(attorney: TestClient, intake: Intake, order: str) -> None:
    insert_leads(intake, [f"common x{n}" + (" half" if n % 2 else "") for n in range(3000)])
    intake.write(lambda c: c.execute(lead.update().where(lead.c.id.in_([10, 2010])).values(state="ENGAGED")) and None)
    for query, expected in (
        ("q=COMM", list(range(1, 3001))),
        ("q=common half", list(range(2, 3001, 2))),
        ("q=c", list(range(1, 3001))),
        ("q=common x1999", [2000]),
        ("q=c x1999", [2000]),
        ("q=common absent", []),
        ("q=c absent", []),
        ("q=common&state=ENGAGED", [10, 2010]),
        ("q=c h&state=ENGAGED", [10, 2010]),
        ("q=x299&state=PENDING", [300, *range(2991, 3001)]),
        (f"q=common&after={2**63 - 1}", [] if order == "asc" else list(range(1, 3001))),
        ("q=common&after=0", list(range(1, 3001)) if order == "asc" else []),
    ):
        found = [one["id"] for one in attorney.get(f"/internal/leads?{query}&order={order}").json()]
        assert found == (expected if order == "asc" else expected[::-1]), query


def test_leads_are_found_by_their_present_words_only(client: TestClient, intake: Intake) -> None:
    intake.write(lambda c: c.execute(lead.update().where(lead.c.f_name == "Ada").values(l_name="Byron")) and None)
    assert (names(client, q="lovelace"), names(client, q="byron")) == (["Ada"], [])
    intake.write(lambda c: index_leads(c, [1, 77]))
    assert (names(client, q="lovelace"), names(client, q="byron")) == ([], ["Ada"])
    intake.write(lambda c: c.execute(lead.delete().where(lead.c.f_name == "Grace")) and None)
    assert names(client, q="hopper") == []
    assert intake.count(lead_words) == len(PEOPLE) - 1


def test_a_search_that_takes_too_long_names_the_remedy(
    client: TestClient, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    if intake.settings.sqlite_file is not None:
        return  # SQLite has no statement timeout
    slow = text("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)")
    monkeypatch.setattr(word_index, "_probe_postgresql", lambda connection, _prefixes: connection.execute(slow))
    answer = client.get("/internal/leads/?q=common")
    assert (answer.status_code, answer.json()["title"]) == (503, "Search timeout")
    assert "add a rarer word" in answer.json()["detail"]
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=LOST", "state"),
        ("state=PENDING&state=lost", "state"),
        ("state=", "state"),
        ("email=a%00b", "email"),
        ("q=%00", "q"),
        ("q=", "q"),
        ("q=%20-%20*", "q"),
        ("q=" + "+".join(map(str, range(17))), "q"),
        (f"f_name={'a' * 321}", "f_name"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("after=-1", "after"),
        (f"after={2**63}", "after"),
        (f"after={'9' * 40}", "after"),
        ("order=up", "order"),
        ("since=yesterday", "since"),
        ("since=1", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("since=0001-01-01T00:00:00%2B23:59", "since"),
        ("until=9999-12-31T23:59:59-23:59", "until"),
        ("email=a&email=b", "email"),
        ("sate=PENDING", "sate"),
    ],
)
def test_invalid_queries_name_the_parameter(attorney: TestClient, query: str, field: str) -> None:
    answer = attorney.get(f"/internal/leads/?{query}")
    assert answer.status_code == 422
    assert field in [fault["field"].split(".")[0] for fault in answer.json()["errors"]]


def test_an_unknown_state_lists_the_known_ones(attorney: TestClient) -> None:
    answer = attorney.get("/internal/leads/?state=LOST")
    assert "PENDING, REACHED_OUT, ENGAGED, DECLINED" in answer.json()["detail"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_each_page_links_to_the_next(client: TestClient, order: str) -> None:
    seen: list[str] = []
    url = f"/internal/leads/?email=*%40example.*&limit=2&order={order}"
    while url:
        answer = client.get(url)
        seen += [one["f_name"] for one in answer.json()]
        link = answer.links.get("next", {}).get("url", "")
        assert not link or link.startswith("?"), "a relative reference: behind TLS the scheme is unknown"
        url = link and f"/internal/leads/{link}"
    expected = ["Ada", "Grace", "100%", "St*r", "太郎"]
    assert seen == (expected if order == "asc" else expected[::-1])


def test_a_full_last_page_has_no_link(client: TestClient) -> None:
    answer = client.get("/internal/leads/", params={"limit": len(PEOPLE)})
    assert len(answer.json()) == len(PEOPLE)
    assert "Link" not in answer.headers


def test_since_is_inclusive_and_until_exclusive(client: TestClient) -> None:
    timestamp = client.get("/internal/leads/").json()[0]["created_at"]
    assert "Ada" in names(client, since=timestamp)
    assert "Ada" not in names(client, until=timestamp)


def test_after_continues_after_an_id(client: TestClient) -> None:
    ids = [one["id"] for one in client.get("/internal/leads/").json()]
    assert names(client, after=ids[3]) == ["St*r", "太郎"]
    assert names(client, after=ids[2], order="desc") == ["Grace", "Ada"]
    assert names(client, after=0, limit=1) == ["Ada"]


def test_a_list_and_a_page_and_a_lead_are_the_same_bytes(attorney: TestClient, intake: Intake) -> None:
    names = ["".join(map(chr, range(1, 0x80))), "\x7f\x85\u2028\ufeff<>&\U0001f600", '\\"}/', "{}", "null"]
    timestamps = ["2025-01-02T03:04:05Z", "2025-01-02T03:04:05.120Z", "2025-12-31T23:59:59.999999Z"]
    rows = [
        {"email": name, "f_name": name, "l_name": name, "CV_name": name, "state": "PENDING"}
        | {"email_key": name, "f_name_key": name, "l_name_key": name, "created_at": datetime.fromisoformat(timestamp)}
        for name in names
        for timestamp in timestamps
    ]
    intake.write(lambda c: c.execute(insert(lead), rows) and None)
    facts = {"size": 1, "sha256": "0" * 64, "detected_type": "text/plain"}
    intake.write(lambda c: c.execute(insert(cv), [{"lead_id": n, **facts} for n in range(1, len(rows) + 1)]) and None)
    each = [attorney.get(f"/internal/leads/{n}").content for n in range(1, len(rows) + 1)]
    objects = [one.partition(b',"CV":')[0] + b"}" for one in each]
    whole = b"[" + b",".join(objects) + b"]"
    assert json.loads(whole)[0]["created_at"] == timestamps[0]
    assert attorney.get("/internal/leads/").content == whole
    assert attorney.get("/internal/leads/", params={"limit": 100}).content == whole


def test_chunks_make_one_array(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = client.get("/internal/leads/").content
    for size in (1, 2, 3, len(PEOPLE)):
        monkeypatch.setattr(listing, "CHUNK_ROWS", size)
        assert client.get("/internal/leads/").content == whole


def test_chunks_start_small_and_memory_stays_bounded(intake: Intake) -> None:
    row = {"email": "a@b.c", "f_name": "A", "l_name": "B", "CV_name": "c", "state": "PENDING"}
    row |= {"email_key": "a@b.c", "f_name_key": "a", "l_name_key": "b"}
    intake.write(lambda c: c.execute(insert(lead), [row] * 5_000) and None)
    sizes = [piece.count(b'"id"') for piece in listing.stream_json(intake.database, LeadQuery())]
    assert sizes == [250, 500, 1000, 2000, 1250, 0]
    pieces = listing.stream_json(intake.database, LeadQuery())
    tracemalloc.start()
    try:
        for piece in pieces:
            assert tracemalloc.get_traced_memory()[0] < 2 * len(piece) + 200_000
    finally:
        tracemalloc.stop()


def test_lists_read_no_cv_and_filters_use_their_index(intake: Intake) -> None:
    plan_of = plans(intake)
    assert plan_of(LeadQuery()).uses("pk_lead", "INTEGER PRIMARY KEY")
    assert plan_of(LeadQuery(email="ada@example.com")).uses("ix_lead_email_key")
    assert plan_of(LeadQuery(email="ada*")).uses("ix_lead_email_key")
    assert plan_of(LeadQuery(f_name="ada*a")).uses("ix_lead_f_name_key")
    assert plan_of(LeadQuery(l_name="ada", order="desc")).uses("ix_lead_l_name_key")
    assert plan_of(LeadQuery(state=["ENGAGED"])).uses("ix_lead_state")
    just_now = LeadQuery(since=datetime.now(UTC) + timedelta(hours=1))
    assert plan_of(just_now, after=None).uses("ix_lead_created_at")


class Plan(str):
    """A database's query plan."""

    __slots__ = ()

    def uses(self, *names: str) -> bool:
        """Return whether one of these indexes is used, without scanning a table or reading CVs."""
        no_scan = "Seq Scan" not in self and not re.search(r"SCAN lead(?! USING)", self)
        return no_scan and not re.search(r"\bcv\b", self) and any(name in self for name in names)


def plans(intake: Intake) -> Callable[..., Plan]:
    """Fill the table, so that plans are realistic, and return a function that explains a filter's query."""
    rows = [
        {
            "email": f"{n}@example.com",
            "f_name": f"f{n}",
            "l_name": f"l{n}",
            "CV_name": "cv.pdf",
            "state": "PENDING" if n % 100 else "ENGAGED",
            "email_key": f"{n}@example.com",
            "f_name_key": f"f{n}",
            "l_name_key": f"l{n}",
        }
        for n in range(5000)
    ]
    intake.write(lambda c: c.execute(insert(lead).values(created_at=Now()), rows))
    intake.write(lambda c: c.execute(text("ANALYZE lead" if c.dialect.name == "postgresql" else "ANALYZE")))

    def plan_of(wanted: LeadQuery, after: int | None = 10) -> Plan:
        def explain(connection: Connection) -> str:
            dialect = connection.dialect
            query = list_statement(wanted, after=after, size=50)
            sql = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            how = "EXPLAIN" if dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
            found = connection.exec_driver_sql(f"{how} {sql}")
            return "\n".join(" ".join(map(str, row)) for row in found)

        return Plan(intake.read(explain))

    return plan_of


def test_a_deleted_lead_is_not_listed(client: TestClient, intake: Intake) -> None:
    first = intake.read(lambda c: c.execute(select(lead.c.id).order_by(lead.c.id).limit(1)).scalar_one())
    intake.write(lambda c: c.execute(lead.delete().where(lead.c.id == first)))
    assert names(client) == [f_name for _, f_name, _ in PEOPLE[1:]]
