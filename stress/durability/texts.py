"""Workers killed while they extract the text of CVs."""

import time
from collections import Counter
from collections.abc import Iterator
from random import Random

from sqlalchemy import func, select, update

from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import TEXT_PENDING, cv_text
from stress.durability.deployment import Deployment, Site, deployed, kill
from stress.durability.load import client
from stress.durability.tally import Tally
from tests.system.relay import Relay

FORM = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
LONGEST_LIFE_S = 2.0


def kill_text_workers(site: Site, kind: str) -> Iterator[Tally]:
    """Kill workers at random times while they extract texts; leases of killed workers are ended in the database."""
    tally, began = Tally("kill-texts", kind), time.monotonic()
    with deployed(site, kind, Relay(), INTAKE_RATE_LIMIT="off") as deployment:
        _submit(deployment.serve("--no-worker").url, site.size.texts)
        for _ in range(site.size.text_kills):
            worker = deployment.work()
            time.sleep(LONGEST_LIFE_S * Random().random())
            kill(worker)
        deployment.work()
        _settle(deployment, within_s=site.size.settles_within_s)
        _check(tally, deployment.database, site.size.texts)
    tally.count(kills=site.size.text_kills, seconds=time.monotonic() - began)
    yield tally


def _submit(url: str, count: int) -> None:
    """Submit CVs with their numbers as texts; every third is a damaged PDF."""
    with client(base_url=url) as sender:
        for number in range(1, count + 1):
            cv = b"%PDF-1.7" if number % 3 == 0 else b"CV number %d" % number
            sender.post("/leads/", data=FORM, files={"CV": ("cv.txt", cv)}).raise_for_status()


def _settle(deployment: Deployment, *, within_s: float) -> None:
    query = select(func.count()).select_from(cv_text).where(TEXT_PENDING)
    end_leases = update(cv_text).where(TEXT_PENDING).values(next_attempt_at=Now())
    until = time.monotonic() + within_s
    while deployment.database.read(lambda connection: connection.scalar(query)) and time.monotonic() < until:
        deployment.database.write(lambda connection: connection.execute(end_leases))
        time.sleep(LONGEST_LIFE_S)


def _check(tally: Tally, database: Database, count: int) -> None:
    query = select(cv_text.c.lead_id, cv_text.c.state, cv_text.c.reason, cv_text.c.text)
    rows = database.read(lambda connection: connection.execute(query).all())
    states = Counter(row.state for row in rows)
    tally.count(**states)
    tally.claim(f"{count} CVs, not {len(rows)}", len(rows) == count)
    for lead_id, state, reason, text in rows:
        has_failed = lead_id % 3 == 0
        expected = ("failed", "damaged", None) if has_failed else ("done", None, f"CV number {lead_id}")
        tally.claim(f"CV {lead_id} is {expected}, not {(state, reason, text)}", (state, reason, text) == expected)
