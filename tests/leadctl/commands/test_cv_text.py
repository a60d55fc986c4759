"""leadctl cv-text."""

import json
import time

import pytest

from tests.intake.cv_text.hostile import pdf_of
from tests.leadctl.conftest import Client
from tests.system.terminal import Terminal, lines

pytestmark = pytest.mark.usefixtures("worker")
HOSTILE = "Ada\tLovelace\n\x1b[31mred\u202eevil\nÄ 漢 🎉\n"


def wait_for_text(client: Client, lead_id: int) -> str:
    until = time.monotonic() + 60
    while '"state": "pending"' in (found := client.run("cv-text", str(lead_id), "-o", "json").stdout):
        assert time.monotonic() < until
        time.sleep(0.2)
    return found


def test_the_text_of_a_cv_is_printed_and_escaped(client: Client) -> None:
    lead_id = client.submit(cv=HOSTILE.encode(), cv_name="cv.txt")
    found = json.loads(wait_for_text(client, lead_id))
    assert found == {
        "id": lead_id,
        "state": "done",
        "reason": None,
        "text": "Ada\tLovelace\n[31mred\u202eevil\nÄ 漢 🎉",
        "pages": [],
        "truncated": False,
        "guessed": False,
    }
    assert client.data("cv-text", str(lead_id), "-o", "ids") == f"{lead_id}\n"
    assert client.data("cv-text", str(lead_id)) == "Ada\tLovelace\n[31mred\\u202eevil\nÄ 漢 🎉\n"


@pytest.mark.parametrize("columns", [80, 30])
def test_a_terminal_shows_lines_wrapped_between_words(client: Client, columns: int) -> None:
    text = "\tCurrently in the United States on H-1B, expiring 2028-04-15. Seeking advice on J-1 waiver."
    lead_id = client.submit(cv=text.encode(), cv_name="cv.txt")
    wait_for_text(client, lead_id)
    shown = lines(Terminal(client, "cv-text", str(lead_id), columns=columns).end()[1])
    assert max(map(len, shown)) <= columns
    assert " ".join(shown).split() == text.split()
    assert client.data("cv-text", str(lead_id)) == f"{text}\n", "unchanged in a pipe"


def test_several_texts_have_headings(client: Client) -> None:
    ids = [
        client.submit(cv=text, cv_name="cv.txt") for text in (b"one\n two", b"\x89PNG\r\n\x1a\n" + bytes(100), b"three")
    ]
    for lead_id in ids:
        wait_for_text(client, lead_id)
    headings = [f"==> lead {lead_id}: Ada Lovelace <==" for lead_id in ids]
    done = client.run("cv-text", "-", "999999", typed="\n".join(map(str, ids)))
    assert done.stdout == f"{headings[0]}\none\n two\n\n{headings[2]}\nthree\n\n"
    assert (done.returncode, done.stderr.splitlines()[1:]) == (
        3,
        ["999999: there is no lead 999999", "leadctl: 2 of 4 CVs have a text"],
    )
    assert headings[2] in Terminal(client, "cv-text", f"{ids[0]},{ids[2]}").end()[1]
    listed = json.loads(client.run("cv-text", str(ids[0]), str(ids[1]), "-o", "json").stdout)
    assert [(one["id"], one["state"], one["text"]) for one in listed] == [
        (ids[0], "done", "one\n two"),
        (ids[1], "empty", None),
    ]


def test_a_guessed_encoding_is_mentioned(client: Client) -> None:
    lead_id = client.submit(cv="Ren\u00e9".encode("cp1252"), cv_name="cv.txt")
    wait_for_text(client, lead_id)
    done = client.run("--verbose", "cv-text", str(lead_id))
    assert (done.stdout, done.returncode) == ("René\n", 0)
    assert "encoding" in done.stderr


@pytest.mark.parametrize(
    ("cv", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "it may be an image or a scan"),
        (pdf_of(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>"), "is damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000), "without text extraction"),
    ],
)
def test_a_cv_without_text_exits_with_5_a_reason_and_a_remedy(client: Client, cv: bytes, reason: str) -> None:
    lead_id = client.submit(cv=cv)
    wait_for_text(client, lead_id)
    done = client.run("cv-text", str(lead_id))
    assert (done.returncode, done.stdout) == (5, "")
    assert reason in done.stderr
    assert f"leadctl download-cv {lead_id}" in done.stderr


def test_invalid_ids(client: Client) -> None:
    assert client.run("cv-text", "999999").returncode == 5
    assert client.run("cv-text", "x").returncode == 2
