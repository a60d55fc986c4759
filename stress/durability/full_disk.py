"""A disk that fills up while leads come in."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from stress.durability.checks import check_answers, check_leads, check_mails
from stress.durability.deployment import SQLITE, Firm, Site
from stress.durability.load import KIB, Answer, Outcome, Prospect, ask, client
from stress.durability.tally import Tally
from tests.postgres import maintenance
from tests.system.relay import Relay

DISK_BYTES = 24 * 2**20
BALLAST_BYTES = 8 * 2**20
CV_BYTES = (300 * KIB, 300 * KIB)
REFUSED_AT_LEAST = 10
LEADS_AFTERWARDS = 10
MOST_LEADS = 2 * DISK_BYTES // CV_BYTES[0]
TABLESPACE = "small_disk"


def full_disk(site: Site, kind: str) -> Iterator[Tally]:
    """Fill a small disk with leads, make room on it, and go on: on PostgreSQL it holds the tables, not its log."""
    if os.getuid() != 0:
        raise SystemExit("the proof full-disk needs root: it mounts a small disk")
    tally, began, relay = Tally("full-disk", kind), time.monotonic(), Relay()
    with _small_disk(site, kind) as (disk, url), _ballast(disk) as ballast:
        relay.open()
        try:
            with Firm(site, url, relay) as firm, client() as prospects_client:
                _fill(tally, firm, ballast, prospects_client)
        finally:
            relay.close()
    tally.count(seconds=time.monotonic() - began)
    yield tally


def _fill(tally: Tally, firm: Firm, ballast: Path, sender: httpx2.Client) -> None:
    url = firm.serve().url
    outcomes = _until_refused(sender, url)
    taken = [outcome for outcome in outcomes if outcome.is_taken]
    refused = [outcome for outcome in outcomes if not outcome.is_taken]
    tally.count(taken_until_full=len(taken), refused=len(refused))
    tally.claim(f"the disk fills up: {len(refused)} are refused", len(refused) >= REFUSED_AT_LEAST)
    _check_refusals(tally, refused)
    ballast.unlink()
    afterwards = [Prospect(number, "after-", CV_BYTES) for number in range(LEADS_AFTERWARDS)]
    # one that was refused comes again under its key, the others for the first time
    again = [_sent(sender, url, prospect) for prospect in (refused[0].prospect, *afterwards)]
    mails = firm.settle()
    check_answers(tally, [*taken, *again], foreseen=())
    check_leads(tally, url, [*taken, *again])
    check_mails(tally, mails, firm.relay.taken, allowed_duplicates=0)


def _until_refused(sender: httpx2.Client, url: str) -> list[Outcome]:
    outcomes: list[Outcome] = []
    refused = 0
    while refused < REFUSED_AT_LEAST and len(outcomes) < MOST_LEADS:
        prospect = Prospect(len(outcomes), cv_bytes=CV_BYTES)
        outcomes.append(_sent(sender, url, prospect))
        refused += not outcomes[-1].is_taken
    return outcomes


def _sent(sender: httpx2.Client, url: str, prospect: Prospect) -> Outcome:
    return Outcome(prospect, [ask(sender, url, prospect, prospect.cv)])


def _check_refusals(tally: Tally, refused: list[Outcome]) -> None:
    answers: list[Answer] = [answer for outcome in refused for answer in outcome.answers]
    others = sorted({answer.kind for answer in answers} - {"503"})
    tally.claim(f"a full disk is a 503, not {others}", not others)
    tally.claim("every 503 has a Retry-After", all(answer.has_retry_after for answer in answers))


@contextmanager
def _small_disk(site: Site, kind: str) -> Iterator[tuple[Path, str]]:
    """Mount a small disk, and give it with the address of a new database on it."""
    disk = Path(tempfile.mkdtemp(dir=site.directory))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], check=True)
    try:
        if kind == SQLITE:
            yield disk, f"sqlite:///{disk / 'intake.db'}"
        else:
            with _tablespace(site, disk):
                yield disk, site.new_database(kind, in_tablespace=TABLESPACE)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        disk.rmdir()


@contextmanager
def _tablespace(site: Site, disk: Path) -> Iterator[None]:
    shutil.chown(disk, site.postgres.user or "root")
    for directory in (disk, site.directory):
        directory.chmod(0o755)
    with maintenance(site.postgres.url("postgres")) as cursor:
        cursor.execute(f"CREATE TABLESPACE {TABLESPACE} LOCATION '{disk}'")
        yield
        # a server that lacks a directory that it knows of does not end in good order
        cursor.execute(
            "SELECT datname FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE spcname = %s",
            [TABLESPACE],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        cursor.execute(f"DROP TABLESPACE {TABLESPACE}")


@contextmanager
def _ballast(disk: Path) -> Iterator[Path]:
    """Give a file that takes up room."""
    file = disk / "ballast"
    with file.open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, BALLAST_BYTES)
    yield file
    file.unlink(missing_ok=True)
