"""A disk that fills up while leads are submitted."""

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
from stress.durability.deployment import SQLITE, Deployment, Site
from stress.durability.load import KIB, Answer, Outcome, Prospect, client, submit
from stress.durability.tally import Tally
from tests.postgres import maintenance
from tests.system.relay import Relay

DISK_BYTES = 24 * 2**20
BALLAST_BYTES = 8 * 2**20
CV_BYTES = (300 * KIB, 300 * KIB)
MIN_REFUSED = 10
LEADS_AFTERWARDS = 10
MAX_LEADS = 2 * DISK_BYTES // CV_BYTES[0]
TABLESPACE = "small_disk"


def full_disk(site: Site, kind: str) -> Iterator[Tally]:
    """Fill a small disk with leads, free some space, and continue.

    On PostgreSQL the disk contains the tables but not the write-ahead log.
    """
    if os.getuid() != 0:
        raise SystemExit("the proof full-disk must run as root: it mounts a tmpfs")
    tally, began, relay = Tally("full-disk", kind), time.monotonic(), Relay()
    with _small_disk(site, kind) as (disk, url), _ballast(disk) as ballast:
        relay.open()
        try:
            with Deployment(site, url, relay) as deployment, client() as prospects_client:
                _fill(tally, deployment, ballast, prospects_client)
        finally:
            relay.close()
    tally.count(seconds=time.monotonic() - began)
    yield tally


def _fill(tally: Tally, deployment: Deployment, ballast: Path, sender: httpx2.Client) -> None:
    url = deployment.serve().url
    outcomes = _until_refused(sender, url)
    accepted = [outcome for outcome in outcomes if outcome.is_accepted]
    refused = [outcome for outcome in outcomes if not outcome.is_accepted]
    tally.count(accepted_until_full=len(accepted), refused=len(refused))
    tally.claim(f"the disk fills up: {len(refused)} submissions are refused", len(refused) >= MIN_REFUSED)
    _check_refusals(tally, refused)
    ballast.unlink()
    afterwards = [Prospect(number, "after-", CV_BYTES) for number in range(LEADS_AFTERWARDS)]
    # one refused submission is repeated with its key; the others are new
    again = [_submit_once(sender, url, prospect) for prospect in (refused[0].prospect, *afterwards)]
    mails = deployment.settle()
    check_answers(tally, [*accepted, *again], expected=())
    check_leads(tally, url, [*accepted, *again])
    check_mails(tally, mails, deployment.relay.taken, allowed_duplicates=0)


def _until_refused(sender: httpx2.Client, url: str) -> list[Outcome]:
    outcomes: list[Outcome] = []
    refused = 0
    while refused < MIN_REFUSED and len(outcomes) < MAX_LEADS:
        prospect = Prospect(len(outcomes), cv_bytes=CV_BYTES)
        outcomes.append(_submit_once(sender, url, prospect))
        refused += not outcomes[-1].is_accepted
    return outcomes


def _submit_once(sender: httpx2.Client, url: str, prospect: Prospect) -> Outcome:
    return Outcome(prospect, [submit(sender, url, prospect, prospect.cv)])


def _check_refusals(tally: Tally, refused: list[Outcome]) -> None:
    answers: list[Answer] = [answer for outcome in refused for answer in outcome.answers]
    others = sorted({answer.kind for answer in answers} - {"503"})
    tally.claim(f"a full disk gives 503, not {others}", not others)
    tally.claim("every 503 has a Retry-After", all(answer.has_retry_after for answer in answers))


@contextmanager
def _small_disk(site: Site, kind: str) -> Iterator[tuple[Path, str]]:
    """Mount a small disk and yield its path and the URL of a new database on it."""
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
        # the server does not shut down cleanly if the directory of a tablespace is missing
        cursor.execute(
            "SELECT datname FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE spcname = %s",
            [TABLESPACE],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        cursor.execute(f"DROP TABLESPACE {TABLESPACE}")


@contextmanager
def _ballast(disk: Path) -> Iterator[Path]:
    """Yield a file that occupies disk space."""
    file = disk / "ballast"
    with file.open("wb") as ballast:
        os.posix_fallocate(ballast.fileno(), 0, BALLAST_BYTES)
    yield file
    file.unlink(missing_ok=True)
