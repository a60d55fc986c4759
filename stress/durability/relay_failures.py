"""Mail delivery through a relay with each typical fault."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping

from stress.durability import outbox
from stress.durability.checks import check_answers, check_mails
from stress.durability.deployment import Deployment, Site, deployed
from stress.durability.load import Load, Prospect
from stress.durability.tally import Size, Tally
from tests.system.relay import Relay

SUBMITTERS = 4
MAX_SUBMISSION_S = 3.0
PROMPT_S = 15.0
HANGING = 3  # one connection fewer than a worker has


@dataclass(frozen=True)
class RelayFault:
    """One fault: how it begins, which mails it delays until it ends, and how long it lasts."""

    name: str
    begin: Callable[[Relay, Sequence[Prospect]], None]
    delays: Callable[[Relay, RowMapping], bool]
    lasts_s: Callable[[Size], float] = lambda _size: 0.0
    is_slow: bool = False


def _work_normally(relay: Relay, prospects: Sequence[Prospect]) -> None:
    """Inject no fault."""


def _close(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.close()


def _defer_all(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.refuses_all = "451 4.3.0 not now"


def _refuse_a_third(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.refuses = {prospect.email: "550 5.1.1 no such user" for prospect in prospects[::3]}


def _drop_each_mail_once(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.drops_each_once = True


def _hang_for_some(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.hangs_after_taking = {prospect.email for prospect in prospects[:HANGING]}


def _reply_slowly(relay: Relay, prospects: Sequence[Prospect]) -> None:
    relay.byte_delay_s = 1.0


def _none(_relay: Relay, _mail: RowMapping) -> bool:
    return False


def _all(_relay: Relay, _mail: RowMapping) -> bool:
    return True


def _is_hanging(relay: Relay, mail: RowMapping) -> bool:
    return mail["recipient"] in relay.hangs_after_taking


RELAY_FAULTS = (
    RelayFault("well", _work_normally, _none),
    RelayFault("down", _close, _all, lambda size: size.down_s),
    RelayFault("451", _defer_all, _all, lambda size: size.later_s),
    RelayFault("550", _refuse_a_third, _none),
    RelayFault("drop", _drop_each_mail_once, _none),
    RelayFault("hang", _hang_for_some, _is_hanging, is_slow=True),
    RelayFault("slow", _reply_slowly, _all, lambda size: size.down_s, is_slow=True),
)


def relay(site: Site, kind: str) -> Iterator[Tally]:
    """Inject one relay fault after another and submit some leads during each; the first run has no fault.

    After each fault, deferred mails are made due, so that the proof need not wait for hours.
    """
    with deployed(site, kind, Relay()) as deployment:
        url = deployment.serve().url
        for fault in RELAY_FAULTS:
            if site.size.shows_slow_relays or not fault.is_slow:
                yield _run_fault(fault, deployment, url, Tally(f"relay: {fault.name}", kind))


def _run_fault(fault: RelayFault, deployment: Deployment, url: str, tally: Tally) -> Tally:
    size, relay, began = deployment.site.size, deployment.relay, time.monotonic()
    previously_delivered, previously_unanswered = len(relay.taken), relay.unanswered
    prospects = [Prospect(number, series=f"{fault.name}-") for number in range(size.fault_leads)]
    fault.begin(relay, prospects)
    _check_submissions(tally, url, prospects)
    _check_other_mails(tally, fault, deployment)
    time.sleep(max(0.0, began + fault.lasts_s(size) - time.monotonic()))
    failed_recipients = set(relay.refuses)
    relay.heal()
    relay.open()
    deployment.settle()
    mails = _mails_for(deployment, prospects)
    unanswered = relay.unanswered - previously_unanswered
    check_mails(
        tally,
        mails,
        relay.taken[previously_delivered:],
        allowed_duplicates=unanswered,
        failed_recipients=failed_recipients,
    )
    _check_effect(tally, fault, mails, unanswered)
    tally.count(seconds=time.monotonic() - began)
    return tally


def _check_submissions(tally: Tally, url: str, prospects: Sequence[Prospect]) -> None:
    with Load([url], prospects, submitters=SUBMITTERS, repeated=()) as load:
        outcomes = load.finish()
    check_answers(tally, outcomes, expected=())
    slowest = max(answer.seconds for outcome in outcomes for answer in outcome.answers)
    tally.count(slowest_submission_s=slowest)
    tally.claim(f"no submission waits for the relay; the slowest took {slowest:.1f} s", slowest < MAX_SUBMISSION_S)


def _check_other_mails(tally: Tally, fault: RelayFault, deployment: Deployment) -> None:
    def is_unaffected(mail: RowMapping) -> bool:
        return not fault.delays(deployment.relay, mail)

    mails = outbox.settle(deployment.database, which=is_unaffected, within_s=PROMPT_S, waits_for_leases=True)
    late = [mail for mail in mails if is_unaffected(mail) and mail["state"] == "queued"]
    tally.claim(f"the other mails are sent within {PROMPT_S:.0f} s; {len(late)} are not", not late)


def _mails_for(deployment: Deployment, prospects: Sequence[Prospect]) -> Sequence[RowMapping]:
    emails = {prospect.email for prospect in prospects}
    return [mail for mail in outbox.mails(deployment.database) if mail["email"] in emails]


def _check_effect(tally: Tally, fault: RelayFault, mails: Sequence[RowMapping], unanswered: int) -> None:
    """Check that the fault had its expected effect."""
    failed = sum(mail["state"] == "failed" for mail in mails)
    retried = sum(mail["attempts"] > 1 for mail in mails)
    tally.count(failed=failed, retried=retried)
    has_effect = bool(failed or retried)
    tally.claim("a relay fault makes mails retried or failed", has_effect == (fault.begin is not _work_normally))
    duplicates = tally.counts["duplicates"]
    tally.claim(
        f"each of {unanswered} accepted without a reply is sent once more, not {duplicates}", duplicates == unanswered
    )
    if fault.begin is _drop_each_mail_once:
        tally.claim(f"all {len(mails)} are accepted without a reply", unanswered == len(mails))
