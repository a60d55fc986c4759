"""Programs killed while leads come in."""

import time
from collections.abc import Iterator
from random import Random

from intake.workers import SMTP_CONNECTIONS
from stress.durability.checks import check_answers, check_leads, check_mails
from stress.durability.deployment import Firm, Site, kill, opened
from stress.durability.load import BUSY, NO_ANSWER, TAKEN, Load, Outcome, Prospect, kinds
from stress.durability.tally import Tally
from tests.system.relay import FitfulRelay


def kill_service(site: Site, kind: str) -> Iterator[Tally]:
    """Kill the service again and again while leads come in and the relay fails at random.

    Then the relay is well; what is to be tried again is made due, so that nobody waits for hours.
    """
    tally, began = Tally("kill-service", kind), time.monotonic()
    size, relay = site.size, FitfulRelay()
    with opened(site, kind, relay) as firm:
        service = firm.serve()
        prospects = map(Prospect, range(size.submissions))
        repeated = (*BUSY, NO_ANSWER)
        with Load([service.url], prospects, submitters=size.submitters, repeated=repeated) as load:
            kills = 0
            for moment in _moments(size.submissions, size.kills):
                load.wait_for(moment)
                time.sleep(_instant())
                kills += load.is_under_way
                kill(service)
                service = firm.serve(port=int(service.url.rpartition(":")[2]))
            outcomes = load.finish()
        tally.count(kills=kills)
        tally.claim(f"{size.kills} kills while leads come in, not {kills}", kills >= size.kills)
        _check(tally, firm, service.url, outcomes, foreseen=repeated, kills=kills)
    tally.count(seconds=time.monotonic() - began)
    yield tally


def kill_postgresql(site: Site, kind: str) -> Iterator[Tally]:
    """Stop PostgreSQL as a crash would, again and again, while leads come in: the service stays up and says 503."""
    tally, began = Tally("kill-postgresql", kind), time.monotonic()
    size, relay = site.size, FitfulRelay()
    with opened(site, kind, relay) as firm:
        service = firm.serve()
        prospects = map(Prospect, range(size.postgres_submissions))
        back_at = []
        with Load([service.url], prospects, submitters=size.submitters) as load:
            for moment in _moments(size.postgres_submissions, size.postgres_kills):
                load.wait_for(moment)
                time.sleep(_instant())
                site.postgres.kill()
                time.sleep(0.3 + 10 * _instant())
                site.start(site.postgres)
                back_at.append(time.monotonic())
            outcomes = load.finish()
        tally.count(kills=len(back_at), refused_with_503=kinds(outcomes)["503"])
        tally.claim("leads come in, and are refused, at every kill", kinds(outcomes)["503"] >= len(back_at))
        tally.claim("the service stays up", service.process.poll() is None)
        tally.count(longest_until_taken_again_s=max(_until_taken(outcomes, moment) for moment in back_at))
        _check(tally, firm, service.url, outcomes, foreseen=BUSY, kills=0)
    tally.count(seconds=time.monotonic() - began)
    yield tally


def _check(
    tally: Tally, firm: Firm, url: str, outcomes: list[Outcome], *, foreseen: tuple[str, ...], kills: int
) -> None:
    firm.relay.heal()
    check_answers(tally, outcomes, foreseen=foreseen)
    check_leads(tally, url, outcomes)  # while mail is sent
    mails = firm.settle()
    tally.count(taken_without_an_answer=firm.relay.unanswered)
    allowed = kills * SMTP_CONNECTIONS + firm.relay.unanswered
    check_mails(tally, mails, firm.relay.taken, allowed_duplicates=allowed)


def _moments(submissions: int, kills: int) -> Iterator[int]:
    """Yield so many random numbers of leads, growing, well before all of them."""
    share = submissions * 0.6 / kills
    for number in range(kills):
        yield int(share * (number + 0.2 + 0.8 * Random().random()))


def _instant() -> float:
    """Return a moment, in seconds: a kill is not always just after an answer."""
    return 0.1 * Random().random()


def _until_taken(outcomes: list[Outcome], moment: float) -> float:
    times = [answer.at for outcome in outcomes for answer in outcome.answers if answer.kind == TAKEN]
    return min((at for at in times if at >= moment), default=moment) - moment
