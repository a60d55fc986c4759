"""Concurrent submissions that are repeated until they are accepted."""

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
ACCEPTED = "204"
BUSY = ("409", "503")
REQUEST_TIMEOUT_S = 60
RETRY_AFTER_S = 0.5
KIB = 2**10


@dataclass(frozen=True)
class Prospect:
    """A sender with an email address, which is also the idempotency key, and a reproducible CV."""

    number: int
    series: str = "p"
    cv_bytes: tuple[int, int] = (KIB, 200 * KIB)

    @property
    def email(self) -> str:
        """The unique email address."""
        return f"{self.series}{self.number}@example.com"

    @property
    def cv(self) -> bytes:
        """The CV's bytes, the same on each call."""
        random = Random(self.email)
        return random.randbytes(random.randint(*self.cv_bytes))


@dataclass(frozen=True)
class Answer:
    """The result of one request: its status, or NO_ANSWER."""

    kind: str
    at: float
    seconds: float
    has_retry_after: bool = False


@dataclass(frozen=True)
class Outcome:
    """All responses to one prospect's submission, in order."""

    prospect: Prospect
    answers: Sequence[Answer]

    @property
    def is_accepted(self) -> bool:
        """Whether the last response was a 204."""
        return bool(self.answers) and self.answers[-1].kind == ACCEPTED


class Load:
    """Threads that submit the prospects' leads to the services in turn until all are accepted or time is up.

    A response in `repeated` makes the thread send the lead again with the same key; any other one is final.
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
        self._accepted = 0
        self._progress = threading.Condition()
        self._pool = ThreadPoolExecutor(submitters)
        self._clients = threading.local()
        self._outcomes = [self._pool.submit(self._submit, prospect) for prospect in prospects]

    @property
    def is_running(self) -> bool:
        """Whether submissions are still in progress."""
        return not all(outcome.done() for outcome in self._outcomes)

    def wait_for(self, accepted: int) -> None:
        """Wait until this number of leads is accepted, or all submissions have ended."""
        with self._progress:
            while self._accepted < accepted and self.is_running and time.monotonic() < self._until:
                self._progress.wait(0.05)

    def finish(self) -> list[Outcome]:
        """Wait for every submission and return the outcomes."""
        return [outcome.result() for outcome in self._outcomes]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._until = 0.0  # after an exception, send no more requests
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, prospect: Prospect) -> Outcome:
        answers: list[Answer] = []
        cv = prospect.cv
        url = self._urls[prospect.number % len(self._urls)]
        while time.monotonic() < self._until:
            answers.append(submit(self._client(), url, prospect, cv))
            if answers[-1].kind not in self._repeated:
                break
            time.sleep(RETRY_AFTER_S * (0.5 + Random().random()))
        with self._progress:
            self._accepted += bool(answers) and answers[-1].kind == ACCEPTED
            self._progress.notify_all()
        return Outcome(prospect, answers)

    def _client(self) -> httpx2.Client:
        if not hasattr(self._clients, "one"):
            self._clients.one = client()
        found: httpx2.Client = self._clients.one
        return found


def client(base_url: str = "") -> httpx2.Client:
    """Return a client that opens a connection per request: a reused one can be closed just as it is used."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(timeout=REQUEST_TIMEOUT_S, limits=limits, trust_env=False, verify=False, base_url=base_url)


def submit(at: httpx2.Client, url: str, prospect: Prospect, cv: bytes) -> Answer:
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
    """Count the responses of each kind."""
    return Counter(answer.kind for outcome in outcomes for answer in outcome.answers)
