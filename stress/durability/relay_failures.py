"""A relay that misbehaves in each of the ways that relays do, and what comes of the mails meanwhile."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping

from stress.durability import outbox
from stress.durability.checks import check_answers, check_mails
from stress.durability.deployment import Firm, Site, opened
from stress.durability.load import Load, Prospect
from stress.durability.tally import Size, Tally
from tests.system.relay import Relay

SUBMITTERS = 4
QUICK_S = 3.0
PROMPT_S = 15.0
HANGING = 3  # one connection fewer than a worker has


@dataclass(frozen=True)
class Trouble:
    """One way to misbehave: how it begins, which mails must wait until it is over, and how long it lasts."""

    name: str
    begin: Callable[[Relay, Sequence[Prospect]], None]
    holds: Callable[[Relay, RowMapping], bool]
    lasts_s: Callable[[Size], float] = lambda _size: 0.0
    is_slow: bool = False


def _be_well(relay: Relay, prospects: Sequence[Prospect]) -> None:
    """Do nothing."""


def _be_down(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.close()


def _refuse_for_now(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.refuses_all = "451 4.3.0 not now"


def _refuse_a_third(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.refuses = {prospect.email: "550 5.1.1 no such user" for prospect in prospects[::3]}


def _drop_each(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.drops_each_once = True


def _hang_for_a_few(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.hangs_after_taking = {prospect.email for prospect in prospects[:HANGING]}


def _dawdle(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.byte_delay_s = 1.0


def _none(_relay: Relay, _mail: RowMapping) -> bool:
    return False


def _all(_relay: Relay, _mail: RowMapping) -> bool:
    return True


def _hung(relay: Relay, mail: RowMapping) -> bool:
    return mail["recipient"] in relay.hangs_after_taking


TROUBLES = (
    Trouble("well", _be_well, _none),
    Trouble("down", _be_down, _all, lambda size: size.down_s),
    Trouble("451", _refuse_for_now, _all, lambda size: size.later_s),
    Trouble("550", _refuse_a_third, _none),
    Trouble("drop", _drop_each, _none),
    Trouble("hang", _hang_for_a_few, _hung, is_slow=True),
    Trouble("slow", _dawdle, _all, lambda size: size.down_s, is_slow=True),
)


def relay(site: Site, kind: str) -> Iterator[Tally]:
    """Let a relay misbehave in one way after another, with some leads in each; first it is well.

    When it is well again, what is to be tried again is made due, so that nobody waits for hours.
    """
    with opened(site, kind, Relay()) as firm:
        url = firm.serve().url
        for trouble in TROUBLES:
            if site.size.shows_slow_relays or not trouble.is_slow:
                yield _bear(trouble, firm, url, Tally(f"relay: {trouble.name}", kind))


def _bear(trouble: Trouble, firm: Firm, url: str, tally: Tally) -> Tally:
    size, relay, began = firm.site.size, firm.relay, time.monotonic()
    already_taken, already_unanswered = len(relay.taken), relay.unanswered
    prospects = [Prospect(number, series=f"{trouble.name}-") for number in range(size.trouble_leads)]
    trouble.begin(relay, prospects)
    _check_submissions(tally, url, prospects)
    _check_those_not_held(tally, trouble, firm)
    time.sleep(max(0.0, began + trouble.lasts_s(size) - time.monotonic()))
    dead = set(relay.refuses)
    relay.heal()
    relay.open()
    firm.settle()
    mails = _owed_for(firm, prospects)
    unanswered = relay.unanswered - already_unanswered
    check_mails(tally, mails, relay.taken[already_taken:], allowed_duplicates=unanswered, dead=dead)
    _check_trouble(tally, trouble, mails, unanswered)
    tally.count(seconds=time.monotonic() - began)
    return tally


def _check_submissions(tally: Tally, url: str, prospects: Sequence[Prospect]) -> None:
    with Load([url], prospects, submitters=SUBMITTERS, repeated=()) as load:
        outcomes = load.finish()
    check_answers(tally, outcomes, foreseen=())
    slowest = max(answer.seconds for outcome in outcomes for answer in outcome.answers)
    tally.count(slowest_submission_s=slowest)
    tally.claim(f"a submission waits for no relay; the slowest took {slowest:.1f} s", slowest < QUICK_S)


def _check_those_not_held(tally: Tally, trouble: Trouble, firm: Firm) -> None:
    def is_free(mail: RowMapping) -> bool:
        return not trouble.holds(firm.relay, mail)

    mails = outbox.settle(firm.database, which=is_free, within_s=PROMPT_S, waits_for_leases=True)
    late = [mail for mail in mails if is_free(mail) and mail["state"] == "queued"]
    tally.claim(f"the other mails leave within {PROMPT_S:.0f} s; {len(late)} do not", not late)


def _owed_for(firm: Firm, prospects: Sequence[Prospect]) -> Sequence[RowMapping]:
    emails = {prospect.email for prospect in prospects}
    return [mail for mail in outbox.mails(firm.database) if mail["email"] in emails]


def _check_trouble(tally: Tally, trouble: Trouble, mails: Sequence[RowMapping], unanswered: int) -> None:
    """What the trouble was to show was there to be seen."""
    dead = sum(mail["state"] == "failed" for mail in mails)
    tried_again = sum(mail["attempts"] > 1 for mail in mails)
    tally.count(dead=dead, tried_again=tried_again)
    is_felt = bool(dead or tried_again)
    tally.claim(
        "a mail is tried again, or dead, where the relay misbehaves", is_felt == (trouble.begin is not _be_well)
    )
    again = tally.counts["duplicates"]
    tally.claim(f"each of {unanswered} taken without an answer comes once more, not {again}", again == unanswered)
    if trouble.begin is _drop_each:
        tally.claim(f"all {len(mails)} are taken without an answer", unanswered == len(mails))
