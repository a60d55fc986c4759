"""A CV as it is downloaded, beside a file that Starlette gives; and what it takes of memory."""

import time
from collections.abc import Iterator

import httpx2

from benchmarks.http_client import Asking
from benchmarks.measure import MB, Result, Size, in_turn
from benchmarks.services import Firm
from tests.system.programs import peak_bytes

CV = b"%PDF-1.4\n" + bytes(5_000_000)
SHARE = 1 / 2  # of a round's seconds, for each of two sides


def results(firm: Firm, size: Size) -> Iterator[Result]:
    """Yield how many megabytes a second are downloaded, and what that adds to the service's memory."""
    (firm.files / "cv.pdf").write_bytes(CV)
    path = f"/internal/leads/{_submitted(firm)}/cv-download"
    grown: list[float] = []

    def download() -> float:
        rate = _rate(firm.service.url, firm.token, path, seconds=size.seconds * SHARE)
        grown.append(peak_bytes(firm.service.process.pid) / MB - before)
        return rate

    before = peak_bytes(firm.service.process.pid) / MB
    sides = {
        "ours": download,
        "theirs": lambda: _rate(firm.rival.url, firm.token, "/files/cv.pdf", seconds=size.seconds * SHARE),
    }
    work = f"a CV of {len(CV) // MB} MB downloaded, {firm.name}"
    rates = in_turn(size, sides)
    yield Result(work=work, beside="Starlette's StaticFiles", unit="MB/s", **rates, goal=0.6, at_most=False)
    yield Result(work=f"{work}: memory added", beside="", unit="MB", ours=grown, theirs=(), goal=30, at_most=True)


def _submitted(firm: Firm) -> int:
    """Return the id of a lead with a large CV."""
    form = {"email": "large@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    answer = httpx2.post(
        f"{firm.service.url}/internal/leads/",
        data=form,
        files={"CV": ("cv.pdf", CV)},
        headers={"Authorization": f"Bearer {firm.token}"},
        timeout=60,
    )
    return int(answer.raise_for_status().json()["id"])


def _rate(url: str, token: str, path: str, *, seconds: float) -> float:
    """Return the megabytes that come in a second, one download after another over one connection."""
    received = 0
    with Asking(url, token) as asking:
        asking.get(path)
        began = time.perf_counter()
        while (taken := time.perf_counter() - began) < seconds:
            received += asking.get(path)
    return received / taken / MB
