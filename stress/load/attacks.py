"""The table of attacks, and how one is run and measured."""

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
from stress.load.sizes import GOALS, LOGINS_GOAL, Size
from stress.load.target import Target, address, bound_bytes, target
from stress.load.wire import ARRIVALS_PER_S, Address, Aim, Spoils

LEAST_PRIORITY = 19
BEFORE_IT_COUNTS_S = 1.0
ENDS_WITHIN_S = 60.0
NORMAL = "nobody.in.particular@example.com"
INTENDED = ("503",)


@dataclass(frozen=True)
class Attack:
    """What is done, by how many connections at once, and whether it takes them time to arrive.

    What is measured meanwhile is the internal list, or the owner's logins: once a second, for twice as long.
    """

    run: Callable[[Aim], Coroutine[None, None, Spoils]]
    connections: Callable[[Size], int]
    arrives_slowly: bool = False
    measures_logins: bool = False

    def sized(self, size: Size) -> Size:
        """Return how long it lasts, and how often it is measured."""
        if not self.measures_logins:
            return size
        return replace(size, seconds=2 * size.seconds, idle_s=2 * size.idle_s, probes_per_s=1.0)

    def lead_in_s(self, size: Size) -> float:
        """Return after how many seconds it is at its height, from when on it is measured."""
        return BEFORE_IT_COUNTS_S + (self.connections(size) / ARRIVALS_PER_S if self.arrives_slowly else 0)


ATTACKS: Mapping[str, Attack] = {
    "one-address": Attack(floods.from_one_address, lambda _size: floods.CLIENTS),
    "many-addresses": Attack(floods.from_many_addresses, lambda _size: floods.CLIENTS),
    "slow-senders": Attack(slow.senders, lambda size: size.slow_clients, arrives_slowly=True),
    "slow-readers": Attack(slow.readers, lambda size: size.slow_clients, arrives_slowly=True),
    "half-uploads": Attack(slow.half_uploads, lambda size: size.half_uploads, arrives_slowly=True),
    "large-bodies": Attack(large.bodies, lambda _size: large.SENDERS),
    "hostile-forms": Attack(large.forms, lambda _size: large.SENDERS),
    "guesses": Attack(floods.guesses, lambda _size: floods.GUESSERS),
    "owner-logins": Attack(floods.logins, lambda _size: floods.STRANGERS, measures_logins=True),
}


class Crew:
    """Two processes: one that attacks, and gives way to all others, and one that measures."""

    def __init__(self) -> None:
        spawned = get_context("spawn")
        self._attackers = ProcessPoolExecutor(1, mp_context=spawned, initializer=os.nice, initargs=(LEAST_PRIORITY,))
        self._probers = ProcessPoolExecutor(1, mp_context=spawned)
        # what starting them takes is not measured
        self._attackers.submit(time.monotonic).result()
        self._probers.submit(time.monotonic).result()

    def attack(self, name: str, aim: Aim) -> Future[Spoils]:
        """Begin an attack."""
        return self._attackers.submit(_attack, name, aim)

    def probe(self, name: str, at: Target, size: Size, seconds: float) -> Latencies:
        """Return how long the internal list takes, or the owner's login, measured for so long."""
        request = (login_request if ATTACKS[name].measures_logins else list_request)(at.token)
        arguments = (address(at.internal), request, seconds, size.probes_per_s)
        return self._probers.submit(_probe, *arguments).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._attackers.shutdown()
        self._probers.shutdown()


def run(site: Site, crew: Crew, name: str, kind: str, surfaces: str, size: Size) -> Line:
    """Attack a service of its own, and return what was measured."""
    size = ATTACKS[name].sized(size)
    with target(site, kind, surfaces, size) as at:
        idle = crew.probe(name, at, size, size.idle_s)
        idle_bytes = at.peak_bytes()
        at.reset_peak()
        lead_in_s = ATTACKS[name].lead_in_s(size)
        aim = Aim(address(at.public), address(at.internal), at.token, at.cv_lead, size, lead_in_s + size.seconds)
        under_way = crew.attack(name, aim)
        time.sleep(lead_in_s)
        attacked = crew.probe(name, at, size, size.seconds)
        spoils = under_way.result()
        bound = bound_bytes(idle=idle_bytes, connections=ATTACKS[name].connections(size))
        memory = (idle_bytes, at.peak_bytes(), bound)
        kept = (len(spoils.acknowledged & at.kept()), len(spoils.acknowledged))
        goal = LOGINS_GOAL if ATTACKS[name].measures_logins else GOALS[surfaces]
        line = Line(name, surfaces, kind, spoils.rate, spoils.answers, idle, attacked, goal, memory, *kept)
        _judge(line, size)
        _judge_afterwards(line, at)
        return line


def _judge(line: Line, size: Size) -> None:
    ratio = f"the 99th percentile is {line.ratio:.1f} times the idle one; the goal is {line.goal:.0f}"
    line.claim(ratio, not size.judges_latency or line.ratio <= line.goal)
    failures = line.attacked.failures
    line.claim(f"what is measured is answered with 200 throughout: {failures}", not failures)
    line.claim("memory keeps within its bound", line.memory[1] <= line.memory[2])
    wrong = {kind: n for kind, n in line.answers.items() if kind.startswith("5") and kind not in INTENDED}
    line.claim(f"no 5xx but a 503 with Retry-After: {wrong}", not wrong)
    line.claim("every acknowledged lead is kept", line.kept == line.acknowledged)
    line.claim("the attack came through at all", bool(line.answers))


def _judge_afterwards(line: Line, at: Target) -> None:
    mails = len(at.relay.taken)
    answer = at.submit(NORMAL)
    line.claim(f"a submission right afterwards is taken: {answer}", answer == "204")
    line.claim("mail flows afterwards", at.sends_mail(after=mails))


def _attack(name: str, aim: Aim) -> Spoils:
    signal.alarm(int(aim.seconds + ENDS_WITHIN_S))  # an attack that does not end by itself is ended
    try:
        return asyncio.run(ATTACKS[name].run(aim))
    finally:
        signal.alarm(0)


def _probe(at: Address, request: bytes, seconds: float, per_s: float) -> Latencies:
    return asyncio.run(probe(at, request, seconds=seconds, per_s=per_s))
