"""Programs killed while leads are submitted."""

import time
from collections.abc import Iterator
from random import Random

from intake.workers import SMTP_CONNECTIONS
from stress.durability.checks import check_answers, check_leads, check_mails
from stress.durability.deployment import Deployment, Site, deployed, kill
from stress.durability.load import ACCEPTED, BUSY, NO_ANSWER, Load, Outcome, Prospect, kinds
from stress.durability.tally import Tally
from tests.system.relay import FitfulRelay


def kill_service(site: Site, kind: str) -> Iterator[Tally]:
    """Kill the service repeatedly while leads are submitted and the relay fails at random.

    Afterwards the relay works, and deferred mails are made due, so that the proof need not wait for hours.
    """
    tally, began = Tally("kill-service", kind), time.monotonic()
    size, relay = site.size, FitfulRelay()
    with deployed(site, kind, relay) as deployment:
        service = deployment.serve()
        prospects = map(Prospect, range(size.submissions))
        repeated = (*BUSY, NO_ANSWER)
        with Load([service.url], prospects, submitters=size.submitters, repeated=repeated) as load:
            kills = 0
            for accepted in _kill_points(size.submissions, size.kills):
                load.wait_for(accepted)
                time.sleep(_random_pause_s())
                kills += load.is_running
                kill(service)
                service = deployment.serve(port=int(service.url.rpartition(":")[2]))
            outcomes = load.finish()
        tally.count(kills=kills)
        tally.claim(f"{size.kills} kills while leads are submitted, not {kills}", kills >= size.kills)
        _check(tally, deployment, service.url, outcomes, expected=repeated, kills=kills)
    tally.count(seconds=time.monotonic() - began)
    yield tally


def kill_postgresql(site: Site, kind: str) -> Iterator[Tally]:
    """Crash PostgreSQL repeatedly while leads are submitted: the service stays up and responds with 503."""
    tally, began = Tally("kill-postgresql", kind), time.monotonic()
    size, relay = site.size, FitfulRelay()
    with deployed(site, kind, relay) as deployment:
        service = deployment.serve()
        prospects = map(Prospect, range(size.postgres_submissions))
        restarted_at = []
        with Load([service.url], prospects, submitters=size.submitters) as load:
            for accepted in _kill_points(size.postgres_submissions, size.postgres_kills):
                load.wait_for(accepted)
                time.sleep(_random_pause_s())
                site.postgres.kill()
                time.sleep(0.3 + 10 * _random_pause_s())
                site.start(site.postgres)
                restarted_at.append(time.monotonic())
            outcomes = load.finish()
        tally.count(kills=len(restarted_at), refused_with_503=kinds(outcomes)["503"])
        tally.claim("submissions are refused at every kill", kinds(outcomes)["503"] >= len(restarted_at))
        tally.claim("the service stays up", service.process.poll() is None)
        tally.count(longest_recovery_s=max(_recovery_s(outcomes, since) for since in restarted_at))
        _check(tally, deployment, service.url, outcomes, expected=BUSY, kills=0)
    tally.count(seconds=time.monotonic() - began)
    yield tally


def _check(
    tally: Tally, deployment: Deployment, url: str, outcomes: list[Outcome], *, expected: tuple[str, ...], kills: int
) -> None:
    deployment.relay.heal()
    check_answers(tally, outcomes, expected=expected)
    check_leads(tally, url, outcomes)  # while the worker sends mail
    mails = deployment.settle()
    tally.count(accepted_without_a_reply=deployment.relay.unanswered)
    allowed = kills * SMTP_CONNECTIONS + deployment.relay.unanswered
    check_mails(tally, mails, deployment.relay.taken, allowed_duplicates=allowed)


def _kill_points(submissions: int, kills: int) -> Iterator[int]:
    """Yield increasing random numbers of accepted leads at which to kill, well below the total."""
    share = submissions * 0.6 / kills
    for number in range(kills):
        yield int(share * (number + 0.2 + 0.8 * Random().random()))


def _random_pause_s() -> float:
    """Return a random pause, so that a kill does not always follow a response directly."""
    return 0.1 * Random().random()


def _recovery_s(outcomes: list[Outcome], since: float) -> float:
    times = [answer.at for outcome in outcomes for answer in outcome.answers if answer.kind == ACCEPTED]
    return min((at for at in times if at >= since), default=since) - since
