"""Prospects who send in their leads at once, and repeat what was not taken."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Self

import httpx2

NO_ANSWER = "no answer"
TAKEN = "204"
BUSY = ("409", "503")
ASK_WITHIN_S = 60
AGAIN_AFTER_S = 0.5
KIB = 2**10


@dataclass(frozen=True)
class Prospect:
    """Somebody with an address, a key for the submission, and a CV that can be made again to compare."""

    number: int
    series: str = "p"
    cv_bytes: tuple[int, int] = (KIB, 200 * KIB)

    @property
    def email(self) -> str:
        """An address that no other prospect has."""
        return f"{self.series}{self.number}@example.com"

    @property
    def cv(self) -> bytes:
        """The same bytes each time."""
        random = Random(self.email)
        return random.randbytes(random.randint(*self.cv_bytes))


@dataclass(frozen=True)
class Answer:
    """What came of one request: its status, or NO_ANSWER."""

    kind: str
    at: float
    seconds: float
    has_retry_after: bool = False


@dataclass(frozen=True)
class Outcome:
    """All that came of one prospect's submission, the last answer last."""

    prospect: Prospect
    answers: Sequence[Answer]

    @property
    def is_taken(self) -> bool:
        """Whether it was answered with 204 in the end."""
        return bool(self.answers) and self.answers[-1].kind == TAKEN


class Load:
    """Threads that submit for each prospect in turn, at the services in turn, until all are taken or time is up.

    What is answered with one of `repeated` is sent again under the same key; any other answer is the last one.
    """

    def __init__(
        self,
        urls: Sequence[str],
        prospects: Iterable[Prospect],
        *,
        submitters: int,
        repeated: Collection[str] = BUSY,
        within_s: float = 300.0,
    ) -> None:
        self._urls, self._repeated = urls, repeated
        self._until = time.monotonic() + within_s
        self._taken = 0
        self._progress = threading.Condition()
        self._pool = ThreadPoolExecutor(submitters)
        self._clients = threading.local()
        self._outcomes = [self._pool.submit(self._submit, prospect) for prospect in prospects]

    @property
    def is_under_way(self) -> bool:
        """Whether some submissions have not ended."""
        return not all(outcome.done() for outcome in self._outcomes)

    def wait_for(self, taken: int) -> None:
        """Return once so many were taken, or all have ended."""
        with self._progress:
            while self._taken < taken and self.is_under_way and time.monotonic() < self._until:
                self._progress.wait(0.05)

    def finish(self) -> list[Outcome]:
        """Wait for every submission, and return what came of each."""
        return [outcome.result() for outcome in self._outcomes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._until = 0.0  # where something went wrong outside, no more is asked
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, prospect: Prospect) -> Outcome:
        answers: list[Answer] = []
        cv = prospect.cv
        url = self._urls[prospect.number % len(self._urls)]
        while time.monotonic() < self._until:
            answers.append(ask(self._client(), url, prospect, cv))
            if answers[-1].kind not in self._repeated:
                break
            time.sleep(AGAIN_AFTER_S * (0.5 + Random().random()))
        with self._progress:
            self._taken += bool(answers) and answers[-1].kind == TAKEN
            self._progress.notify_all()
        return Outcome(prospect, answers)

    def _client(self) -> httpx2.Client:
        if not hasattr(self._clients, "one"):
            self._clients.one = client()
        found: httpx2.Client = self._clients.one
        return found


def client(base_url: str = "") -> httpx2.Client:
    """Return a client that opens a connection for each request: one that is kept can end just as it is used again."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(timeout=ASK_WITHIN_S, limits=limits, trust_env=False, verify=False, base_url=base_url)


def ask(at: httpx2.Client, url: str, prospect: Prospect, cv: bytes) -> Answer:
    """Submit once."""
    form = {"email": prospect.email, "f_name": "Ada", "l_name": f"Lovelace {prospect.number}"}
    files = {"CV": (f"{prospect.number}.pdf", cv)}
    began = time.monotonic()
    try:
        answer = at.post(f"{url}/leads/", data=form, files=files, headers={"Idempotency-Key": prospect.email})
    except httpx2.TransportError:
        return Answer(NO_ANSWER, time.monotonic(), time.monotonic() - began)
    ended = time.monotonic()
    return Answer(str(answer.status_code), ended, ended - began, "retry-after" in answer.headers)


def kinds(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Return how often each kind of answer was given."""
    return Counter(answer.kind for outcome in outcomes for answer in outcome.answers)
