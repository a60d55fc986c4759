"""Registry of the attacks; runs and measures one of them."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Self

from stress.durability.deployment import Site
from stress.load import floods, large, slow
from stress.load.probe import Latencies, list_request, login_request, probe
from stress.load.report import Line
from stress.load.sizes import GOALS, LOGINS_GOAL, LOWEST_PRIORITY, NO_GOAL, ONE, Size
from stress.load.target import Target, address, bound_bytes, target
from stress.load.wire import ARRIVALS_PER_S, Address, AttackPlan, AttackResult

LEAD_IN_S = 1.0
OVERTIME_S = 60.0
NORMAL = "nobody.in.particular@example.com"
EXPECTED_5XX = ("503",)


@dataclass(frozen=True)
class Attack:
    """An attack: its function, its number of connections, and whether they open gradually.

    The latency measured meanwhile is that of the internal list, or of the owner's login (once a second, for twice as
    long). It has no goal in one process if only two keep the attack from slowing the list.
    """

    run: Callable[[AttackPlan], Coroutine[None, None, AttackResult]]
    connections: Callable[[Size], int]
    arrives_slowly: bool = False
    measures_logins: bool = False
    needs_two_processes: bool = False

    def sized(self, size: Size) -> Size:
        """Return the size with this attack's duration and probe rate."""
        if not self.measures_logins:
            return size
        return replace(size, seconds=2 * size.seconds, idle_s=2 * size.idle_s, probes_per_s=1.0)

    def goal(self, surfaces: str) -> float:
        """Return the highest ratio of the latency under attack to the idle one."""
        if self.needs_two_processes and surfaces == ONE:
            return NO_GOAL
        return LOGINS_GOAL if self.measures_logins else GOALS[surfaces]

    def lead_in_s(self, size: Size) -> float:
        """Return the seconds until all connections are open, when the measurement starts."""
        return LEAD_IN_S + (self.connections(size) / ARRIVALS_PER_S if self.arrives_slowly else 0)


ATTACKS: Mapping[str, Attack] = {
    "one-address": Attack(floods.from_one_address, lambda _size: floods.CLIENTS),
    "many-addresses": Attack(floods.from_many_addresses, lambda _size: floods.CLIENTS, needs_two_processes=True),
    "slow-senders": Attack(slow.senders, lambda size: size.slow_clients, arrives_slowly=True),
    "slow-readers": Attack(slow.readers, lambda size: size.slow_clients, arrives_slowly=True),
    "half-uploads": Attack(slow.half_uploads, lambda size: size.half_uploads, arrives_slowly=True),
    "large-bodies": Attack(large.bodies, lambda _size: large.SENDERS),
    "hostile-forms": Attack(large.forms, lambda _size: large.SENDERS),
    "guesses": Attack(floods.guesses, lambda _size: floods.GUESSERS),
    "owner-logins": Attack(floods.logins, lambda _size: floods.ANONYMOUS_CLIENTS, measures_logins=True),
}


class AttackProcesses:
    """Two processes: an attacker at the lowest priority, and a prober that measures."""

    def __init__(self) -> None:
        spawned = get_context("spawn")
        self._attackers = ProcessPoolExecutor(1, mp_context=spawned, initializer=os.nice, initargs=(LOWEST_PRIORITY,))
        self._probers = ProcessPoolExecutor(1, mp_context=spawned)
        # start them now, so that their start-up is not measured
        self._attackers.submit(time.monotonic).result()
        self._probers.submit(time.monotonic).result()

    def attack(self, name: str, plan: AttackPlan) -> Future[AttackResult]:
        """Start an attack."""
        return self._attackers.submit(_attack, name, plan)

    def probe(self, name: str, at: Target, size: Size, seconds: float) -> Latencies:
        """Measure the latency of the internal list, or of the owner's login."""
        request = (login_request if ATTACKS[name].measures_logins else list_request)(at.token)
        arguments = (address(at.internal), request, seconds, size.probes_per_s)
        return self._probers.submit(_probe, *arguments).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._attackers.shutdown()
        self._probers.shutdown()


def run(site: Site, processes: AttackProcesses, name: str, kind: str, surfaces: str, size: Size) -> Line:
    """Start a service, attack it, and return the measurements."""
    size = ATTACKS[name].sized(size)
    with target(site, kind, surfaces, size) as at:
        idle = processes.probe(name, at, size, size.idle_s)
        idle_bytes = at.peak_bytes()
        at.reset_peak()
        lead_in_s = ATTACKS[name].lead_in_s(size)
        plan = AttackPlan(
            address(at.public), address(at.internal), at.token, at.cv_lead, size, lead_in_s + size.seconds
        )
        attacking = processes.attack(name, plan)
        time.sleep(lead_in_s)
        attacked = processes.probe(name, at, size, size.seconds)
        result = attacking.result()
        bound = bound_bytes(idle=idle_bytes, connections=ATTACKS[name].connections(size))
        memory = (idle_bytes, at.peak_bytes(), bound)
        saved = (len(result.acknowledged & at.saved_emails()), len(result.acknowledged))
        goal = ATTACKS[name].goal(surfaces)
        line = Line(name, surfaces, kind, result.rate, result.answers, idle, attacked, goal, memory, *saved)
        _judge(line, size)
        _judge_recovery(line, at)
        return line


def _judge(line: Line, size: Size) -> None:
    ratio = f"the 99th percentile is {line.ratio:.1f} times the idle one; the goal is {line.goal:.0f}"
    line.claim(ratio, not size.judges_latency or line.ratio <= line.goal)
    failures = line.attacked.failures
    line.claim(f"every probe is answered with 200: {failures}", not failures)
    line.claim("memory stays within its bound", line.memory[1] <= line.memory[2])
    wrong = {kind: n for kind, n in line.answers.items() if kind.startswith("5") and kind not in EXPECTED_5XX}
    line.claim(f"the only 5xx is a 503 with Retry-After: {wrong}", not wrong)
    line.claim("every acknowledged lead is saved", line.saved == line.acknowledged)
    line.claim("the service received the attack", bool(line.answers))


def _judge_recovery(line: Line, at: Target) -> None:
    mails = len(at.relay.taken)
    answer = at.submit(NORMAL)
    line.claim(f"a submission right after the attack is accepted: {answer}", answer == "204")
    line.claim("mail is sent after the attack", at.sends_mail(after=mails))


def _attack(name: str, plan: AttackPlan) -> AttackResult:
    signal.alarm(int(plan.seconds + OVERTIME_S))  # ends an attack that hangs
    try:
        return asyncio.run(ATTACKS[name].run(plan))
    finally:
        signal.alarm(0)


def _probe(at: Address, request: bytes, seconds: float, per_s: float) -> Latencies:
    return asyncio.run(probe(at, request, seconds=seconds, per_s=per_s))
