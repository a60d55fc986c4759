"""Hourly caps on confirmations, in total and for each recipient domain.

A cap counts the mails whose last attempt was within the hour. Each mail counts once, however often it was tried, so
that no hour delivers more than its cap. A mail over a cap is held: it leaves the index of due mails, is released when
its cap has room, and is suppressed after MAX_WAIT_S. An advisory lock serializes counting across all workers.
"""

import logging
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import resources

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    not_,
    null,
    select,
    update,
)

from intake.database import AdvisoryLock, Database, advisory_lock
from intake.database.clock import Now
from intake.database.ids import unlocked
from intake.database.schema import COUNTED, DELIVERABLE, HELD, confirmed_mailbox, outbox_mail
from intake.metrics import Metrics

PER_DOMAIN = 100
HOUR_S = 3600.0
MAX_WAIT_S = 24 * HOUR_S
MAX_MOVED = 1_000  # mails held, released or suppressed in one transaction
MAX_DOMAINS = 100  # with held mails, read in one transaction
TOTAL = ""  # held_by of a mail that the total cap holds

log = logging.getLogger("intake.workers.mail")


def is_counted() -> ColumnElement[bool]:
    """Return the condition that a mail's last attempt was within the hour."""
    counted_at = outbox_mail.c.counted_at
    # a time in the future comes from a clock that was wrong
    within_the_hour = and_(counted_at > Now(plus_s=-HOUR_S), counted_at <= Now(plus_s=HOUR_S))
    return and_(counted_at.is_not(None), within_the_hour)


_CAPS = {
    "total": "at most INTAKE_CONFIRMATIONS_PER_HOUR confirmations an hour",
    "domain": f"at most {PER_DOMAIN} confirmations an hour to one domain",
}
_HELD = {cap: f"waiting: {text}" for cap, text in _CAPS.items()}
_SUPPRESSED = {cap: f"suppressed after 24 hours: {text}" for cap, text in _CAPS.items()}

_IS_NEW = and_(outbox_mail.c.kind == "confirmation", not_(is_counted()))
_CONFIRMATIONS = (
    select(outbox_mail.c.id, outbox_mail.c.capped_domain, _IS_NEW.label("is_new"))
    .where(outbox_mail.c.id.in_(bindparam("ids", expanding=True)), outbox_mail.c.kind == "confirmation")
    .order_by(outbox_mail.c.id)
)
_COUNT = (
    update(outbox_mail)
    .where(outbox_mail.c.id.in_(bindparam("ids", expanding=True)))
    .values(counted_at=Now(), held_since=None)
)
UNCLAIMED = {"claim": None, "claimed_by": None, "claimed_until": None, "attempts": outbox_mail.c.attempts - 1}
_RELEASE = (
    update(outbox_mail)
    .where(outbox_mail.c.id.in_(bindparam("ids", expanding=True)))
    .values(held_by=None, last_error=None)
)
_OLDEST_HELD = (
    select(outbox_mail.c.id, outbox_mail.c.held_since)
    .where(HELD, outbox_mail.c.held_by == bindparam("held_by"))
    .order_by(outbox_mail.c.held_since)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)


def capped_domain(mailbox_key: str) -> str | None:
    """Return the domain whose cap counts a confirmation to the mailbox, or None for a public provider's."""
    domain = mailbox_key.rpartition("@")[2]
    return None if domain in _public_providers() else domain


@cache
def _public_providers() -> frozenset[str]:
    """Return the domains of public mail providers, whose many users may write to one organization within an hour."""
    text = resources.files("intake.mail").joinpath("public_providers.txt").read_text("utf-8")
    return frozenset(text.split())


class _Room:
    """The remaining confirmations within the caps."""

    def __init__(self, connection: Connection, per_hour: int, domains: Collection[str]) -> None:
        domain = case((outbox_mail.c.capped_domain.in_(domains), outbox_mail.c.capped_domain), else_=null())
        recent = select(domain.label("domain")).where(COUNTED, is_counted()).subquery()
        query = select(recent.c.domain, func.count()).group_by(recent.c.domain)
        counts = {name: int(count) for name, count in connection.execute(query)}
        self.total = max(per_hour - sum(counts.values()), 0)
        self.of_domain = {name: max(PER_DOMAIN - counts.get(name, 0), 0) for name in domains}

    def take(self, domain: str | None) -> str | None:
        """Count one mail, and return the cap that it exceeds, or None."""
        if not self.total:
            return "total"
        if domain is not None:
            if not self.of_domain[domain]:
                return "domain"
            self.of_domain[domain] -= 1
        self.total -= 1
        return None


def admit(connection: Connection, claimed: Sequence[int], *, per_hour: int) -> tuple[list[int], Counter[str]]:
    """Return the claimed mails within the caps, and the number of held mails by cap.

    If a mail is held, other due mails over the same caps are held with it, so that they are not claimed one by one.
    """
    found = connection.execute(_CONFIRMATIONS, {"ids": claimed}).all()
    if not found:
        return list(claimed), Counter()
    advisory_lock(connection, AdvisoryLock.CAPS)
    room = _Room(connection, per_hour, {row.capped_domain for row in found if row.capped_domain is not None})
    caps = {row.id: room.take(row.capped_domain) for row in found if row.is_new}
    held = {number: cap for number, cap in caps.items() if cap is not None}
    connection.execute(_COUNT, {"ids": [row.id for row in found if row.id not in held]})
    for cap in sorted(set(held.values())):
        chosen = outbox_mail.c.id.in_([number for number, one in held.items() if one == cap])
        connection.execute(update(outbox_mail).where(chosen).values({**_held_by(cap), **UNCLAIMED}))
    counts = Counter(held.values())
    if held:
        counts += _hold_more(connection, room)
    return [number for number in claimed if number not in held], counts


def _held_by(cap: str) -> Mapping[str, object]:
    return {
        "held_by": TOTAL if cap == "total" else outbox_mail.c.capped_domain,
        "held_since": func.coalesce(outbox_mail.c.held_since, Now()),
        "last_error": _HELD[cap],
    }


def _hold_more(connection: Connection, room: _Room) -> Counter[str]:
    """Hold those of the next MAX_MOVED due mails that exceed a cap."""
    next_due = unlocked(due().limit(MAX_MOVED))
    full = [domain for domain, left in room.of_domain.items() if not left]
    cap, is_over = ("domain", outbox_mail.c.capped_domain.in_(full)) if room.total else ("total", literal(True))
    is_chosen = outbox_mail.c.id.in_(select(next_due.c.id))
    hold = update(outbox_mail).where(is_chosen, _IS_NEW, is_over).values(_held_by(cap))
    # sqlite3 reports no row count for a statement that begins with WITH
    return Counter({cap: len(connection.scalars(hold.returning(outbox_mail.c.id)).all())})


def due() -> Select[tuple[int]]:
    """Return the query for the mails that are due and not claimed, in their order."""
    is_free = func.coalesce(outbox_mail.c.claimed_until <= Now(), literal(True))
    conditions = DELIVERABLE, outbox_mail.c.next_attempt_at <= Now(), is_free
    return select(outbox_mail.c.id).where(*conditions).order_by(outbox_mail.c.next_attempt_at)


def release(database: Database, *, per_hour: int) -> Counter[str]:
    """Release held mails whose cap has room, oldest first; return the number of suppressed mails by cap."""

    def work(connection: Connection) -> Counter[str]:
        names = _holding_caps(connection)
        if not names:
            return Counter()
        advisory_lock(connection, AdvisoryLock.CAPS)
        suppressed = _suppress_expired(connection, names)
        chosen = random.sample(names, min(len(names), MAX_DOMAINS))
        if ids := _releasable(connection, chosen, per_hour):
            connection.execute(_RELEASE, {"ids": ids})
        return suppressed

    # usually there are none, and reading takes no lock
    return database.write(work) if database.read(_holding_caps) else Counter()


def report(metrics: Metrics, outcome: str, counts: Mapping[str, int]) -> None:
    """Count and log confirmations over a cap; the outcome is `held` or `suppressed`."""
    for cap, count in counts.items():
        metrics.capped.labels(cap, outcome).inc(count)
        log.warning("confirmations over the %s cap: %s: %d", cap, outcome, count)


def _releasable(connection: Connection, names: Sequence[str], per_hour: int) -> list[int]:
    room = _Room(connection, per_hour, [name for name in names if name != TOTAL])
    total = min(room.total, MAX_MOVED) if per_hour else MAX_MOVED
    found: list[tuple[datetime, int]] = []
    for name in names if total else ():
        most = min(total, room.of_domain.get(name, total)) if per_hour else total
        rows = connection.execute(_OLDEST_HELD, {"held_by": name, "most": most})
        found += [(row.held_since, row.id) for row in rows]
    return [number for _, number in sorted(found)[:total]]


def _holding_caps(connection: Connection) -> list[str]:
    """Return the distinct held_by of held mails, with one index lookup for each."""
    name = outbox_mail.c.held_by
    found = select(func.min(name).label("name")).where(HELD).cte("found", recursive=True)
    after = select(func.min(name)).where(HELD, name > found.c.name).scalar_subquery()
    found = found.union_all(select(after).where(found.c.name.is_not(None)))
    return list(connection.scalars(select(found.c.name).where(found.c.name.is_not(None)).limit(MAX_MOVED)))


def _suppress_expired(connection: Connection, names: Sequence[str]) -> Counter[str]:
    is_expired = outbox_mail.c.held_since <= Now(plus_s=-MAX_WAIT_S)
    held = select(outbox_mail.c.id).where(HELD, outbox_mail.c.held_by.in_(names), is_expired)
    reason = case((outbox_mail.c.held_by == TOTAL, _SUPPRESSED["total"]), else_=_SUPPRESSED["domain"])
    suppress = (
        update(outbox_mail)
        .where(outbox_mail.c.id.in_(select(unlocked(held.limit(MAX_MOVED)).c.id)))
        .values(state="suppressed", held_by=None, last_error=reason)
        .returning(outbox_mail.c.lead_id, outbox_mail.c.last_error)
    )
    rows = connection.execute(suppress).all()
    if rows:  # their mailboxes had no confirmation after all
        leads = [row.lead_id for row in rows]
        connection.execute(delete(confirmed_mailbox).where(confirmed_mailbox.c.lead_id.in_(leads)))
    return Counter("total" if row.last_error == _SUPPRESSED["total"] else "domain" for row in rows)
