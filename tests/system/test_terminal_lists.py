"""Lists and single records at a terminal."""

import re

import pytest

from tests.leadctl.commands.test_cv_text import wait_for_text
from tests.leadctl.commands.test_set_state import change_of
from tests.leadctl.commands.test_undo import changed
from tests.leadctl.conftest import Client, admin, administrators_home, anonymous, client, logged_in, service, worker
from tests.system.terminal import Terminal, lines

__all__ = ["admin", "administrators_home", "anonymous", "client", "logged_in", "service", "worker"]

LISTS = ("list", "changes", "history", "audit", "mail list", "users list", "profiles")


@pytest.fixture
def listing(admin: Client) -> Client:
    """An administrator whose lists all have entries; `paged` stands for a pager."""
    pager = admin.home / "pager"
    pager.write_text("#!/bin/sh\necho paged; cat\n")
    pager.chmod(0o755)
    admin.environment["PAGER"] = str(pager)
    return admin


def shown(client: Client, command: str, *arguments: str, columns: int = 100) -> list[str]:
    """Return the lines of a list at a terminal; `history` is that of a lead that was just changed."""
    words = command.split()
    if command == "history":
        changed(client, lead_id := client.submit())
        words.append(str(lead_id))
    code, screen = Terminal(client, *words, *arguments, columns=columns).end()
    assert code == 0, screen
    return lines(screen)


@pytest.mark.parametrize("command", LISTS)
def test_every_list_longer_than_the_screen_is_paged(listing: Client, command: str) -> None:
    changed(listing, listing.submit())
    listing.environment["LINES"] = "2"
    assert shown(listing, command)[0] == "paged"
    assert shown(listing, command, "--no-pager")[0] != "paged"
    listing.environment["LINES"] = "200"
    assert shown(listing, command)[0] != "paged"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("list", r"newest 1 of [1-9]\d*; use -n for more"),
        ("list --sort id", r"oldest 1 of [1-9]\d*; use -n for more"),
        ("list --state PENDING", r"newest 1 of [1-9]\d*; use -n for more"),
        ("list --email *@example.com", "newest 1; use -n for more"),
        ("changes", "newest 1; use -n for more"),
        ("audit", "newest 1; use -n for more"),
        ("mail list", "newest 1; use -n for more"),
    ],
)
def test_a_cut_list_says_so(listing: Client, command: str, message: str) -> None:
    for _ in range(2):
        listing.submit()
        changed(listing, listing.submit())
    *_, row, last = shown(listing, command, "-n", "1", "-o", "ids")
    assert re.fullmatch(message, last), last
    assert re.fullmatch(r"[0-9a-f-]+", row)
    assert shown(listing, command, "-n", "1000000", "-o", "ids")[-1] != last, "nothing was cut"


def test_the_total_is_the_number_of_leads_in_the_states(listing: Client) -> None:
    listing.submit()
    changed(listing, listing.submit())
    listed = "list --state PENDING --state ENGAGED"
    count = len(listing.data(*listed.split(), "-o", "ids").split())
    assert shown(listing, listed, "-n", "1")[-1] == f"newest 1 of {count}; use -n for more"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("list --email nobody@example.com", "No leads match"),
        ("list --email nobody", "No leads match; the whole address must match; try --email '*nobody*'"),
        (
            "list --l-name nobody",
            "No leads match; names need their accents here, but not in leadctl search",
        ),
        ("mail list --lead 999999", "No mails match"),
        ("audit --lead 888888", "No entries match"),
    ],
)
def test_an_empty_list_has_a_message(listing: Client, command: str, message: str) -> None:
    assert shown(listing, command) == [message]
    assert shown(listing, command, "-o", "json") == ["[]", message]
    assert shown(listing, f"--quiet {command}") == []
    done = listing.run(*command.split())
    assert (done.stdout, done.stderr) == ("", ""), "only on a terminal"


def test_a_long_text_is_paged(listing: Client, worker: None) -> None:
    lead_id = listing.submit(cv=b"line\n" * 100, cv_name="cv.txt")
    wait_for_text(listing, lead_id)
    assert shown(listing, f"cv-text {lead_id}")[:2] == ["paged", "line"]
    assert shown(listing, f"cv-text {lead_id}", "--no-pager")[0] == "line"


def test_a_lead_without_a_history_has_a_message(listing: Client) -> None:
    assert shown(listing, f"history {listing.submit()}") == ["No state changes"]


@pytest.mark.parametrize(
    ("command", "heading"),
    [
        ("list", ["ID", "EMAIL", "FIRST NAME", "LAST NAME", "CV", "STATE", "RECEIVED"]),
        ("list --columns state,l_name", ["STATE", "LAST NAME"]),
        ("history", ["WHEN", "WHO", "FROM", "TO", "CHANGE", "UNDOES"]),
        ("mail list", ["ID", "LEAD", "KIND", "RECIPIENT", "STATE", "ATTEMPTS", "ERROR"]),
        ("users list", ["ID", "USERNAME", "ROLE", "DISABLED", "CREATED"]),
        ("profiles", ["NAME", "URL", "USERNAME", "TIME LEFT", "CURRENT"]),
        ("audit", ["ID", "WHEN", "ACTION", "WHO", "SUBJECT", "LEAD", "DETAIL", "CLIENT", "REQUEST ID"]),
    ],
)
def test_headings_are_readable(listing: Client, command: str, heading: list[str]) -> None:
    listing.submit()
    assert re.split("  +", shown(listing, command, "--no-pager", columns=200)[0]) == heading


def test_the_times_of_the_audit_trail_are_exact(listing: Client) -> None:
    assert re.match(r"\d+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \S", shown(listing, "audit -n 1", columns=80)[1])


def test_machine_formats_keep_the_field_names(listing: Client) -> None:
    assert shown(listing, "users list", "-o", "csv")[0] == "id,username,role,disabled,created_at"
    assert listing.data("users", "list", "-o", "table").split()[:5] == [
        "id",
        "username",
        "role",
        "disabled",
        "created_at",
    ]


def test_changes_fit_80_columns(listing: Client) -> None:
    change = changed(listing, listing.submit(), listing.submit())
    undoing = change_of(listing.run("--verbose", "undo", change))
    head, first, second, *_ = shown(listing, "--quiet changes", "-n", "2", columns=80)
    assert re.split("  +", head) == ["ID", "WHEN", "WHO", "TO", "LEADS", "UNDONE BY"]
    assert re.split("  +", first.rstrip()) == [undoing[:8], "now", "harriet", f"undo of {change[:8]}", "2"]
    assert re.split("  +", second) == [change[:8], "now", "harriet", "ENGAGED", "2", undoing[:8]]
    assert max(map(len, (head, first, second))) <= 80


def test_a_lead_is_shown_in_human_units(listing: Client) -> None:
    lead_id = str(listing.submit(cv=b"%PDF-1.4" + b" " * 1_500_000))
    members = dict(re.split("  +", line, maxsplit=1) for line in shown(listing, "show", lead_id))
    assert members.pop("ID") == lead_id
    assert re.fullmatch(r"(now|\d+ s ago) \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)", members.pop("RECEIVED"))
    assert members == {
        "EMAIL": "ada@example.com",
        "FIRST NAME": "Ada",
        "LAST NAME": "Lovelace",
        "CV": "cv.pdf",
        "STATE": "PENDING",
        "CV SIZE": "1.5 MB",
        "CV TYPE": "PDF document",
        "CV SCAN": members["CV SCAN"],
    }


def test_verbose_shows_every_member_of_a_lead(listing: Client) -> None:
    lead_id = str(listing.submit())
    names = [line.split("\t")[0] for line in listing.data("show", lead_id).splitlines()]
    verbose = shown(listing, "--verbose show", lead_id)
    assert [line.split()[0] for line in verbose] == names
    assert any(re.match(r"created_at +\S+\.\d{6}Z \(", line) for line in verbose)
