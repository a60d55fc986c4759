"""Several services and several workers on one database, and suspended workers."""

import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from sqlalchemy import RowMapping

from intake.mail.outbox import LEASE_S
from intake.workers import SMTP_CONNECTIONS
from stress.durability.checks import check_answers, check_leads, check_mails
from stress.durability.deployment import Site, deployed
from stress.durability.load import BUSY, Load, Prospect
from stress.durability.tally import Tally
from tests.system.relay import Relay


def many_workers(site: Site, kind: str) -> Iterator[Tally]:
    """Run several services that accept leads and several workers that send the mails, with a working relay."""
    tally, began = Tally("many-workers", kind), time.monotonic()
    size, relay = site.size, Relay()
    with deployed(site, kind, relay) as deployment:
        urls = [deployment.serve("--no-worker").url for _ in range(size.services)]
        for _ in range(size.workers):
            deployment.work()
        prospects = map(Prospect, range(size.shared_leads))
        with Load(urls, prospects, submitters=size.submitters) as load:
            outcomes = load.finish()
        mails = deployment.settle()
        check_answers(tally, outcomes, expected=BUSY)
        check_leads(tally, urls[0], outcomes)
        check_mails(tally, mails, relay.taken, allowed_duplicates=0)
        _count_shares(tally, mails, relay.taken_at)
    tally.count(seconds=time.monotonic() - began)
    yield tally


def suspend_worker(site: Site, kind: str) -> Iterator[Tally]:
    """Suspend a worker, alone and beside another one, until its leases have expired."""
    for workers in (1, 2):
        tally, began = Tally("suspend-worker", kind), time.monotonic()
        relay = Relay(delay_s=0.5)
        with deployed(site, kind, relay) as deployment:
            service = deployment.serve("--no-worker")
            with Load([service.url], map(Prospect, range(site.size.fault_leads)), submitters=4) as load:
                outcomes = load.finish()
            suspended, *_ = [deployment.work() for _ in range(workers)]
            relay.wait_for(SMTP_CONNECTIONS * workers)
            suspended.process.send_signal(signal.SIGSTOP)
            time.sleep(LEASE_S + 5)
            suspended.process.send_signal(signal.SIGCONT)
            mails = deployment.settle()
            check_answers(tally, outcomes, expected=BUSY)
            check_mails(tally, mails, relay.taken, allowed_duplicates=SMTP_CONNECTIONS)
        tally.count(workers=workers, seconds=time.monotonic() - began)
        yield tally


def _count_shares(tally: Tally, mails: Sequence[RowMapping], taken_at: Sequence[float]) -> None:
    by_worker = Counter(mail["claimed_by"] for mail in mails)
    tally.count(**{f"by_worker_{number}": n for number, (_, n) in enumerate(by_worker.most_common(), 1)})
    tally.count(mails_per_s=(len(taken_at) - 1) / (taken_at[-1] - taken_at[0]) if len(taken_at) > 1 else 0.0)
