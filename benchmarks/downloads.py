"""CV download rate, compared with Starlette's StaticFiles, and its memory."""

import time
from collections.abc import Iterator

import httpx2

from benchmarks.http_client import PersistentConnection
from benchmarks.measure import MB, Result, Size, in_turn
from benchmarks.services import Deployment
from tests.system.programs import peak_bytes

CV = b"%PDF-1.4\n" + bytes(5_000_000)
SHARE = 1 / 2  # of a round's seconds, for each of two measurements


def results(deployment: Deployment, size: Size) -> Iterator[Result]:
    """Yield the download rate in MB/s and the memory it adds to the service."""
    (deployment.files / "cv.pdf").write_bytes(CV)
    path = f"/internal/leads/{_submit_large_cv(deployment)}/cv-download"
    added: list[float] = []

    def download() -> float:
        rate = _rate(deployment.service.url, deployment.token, path, seconds=size.seconds * SHARE)
        added.append(peak_bytes(deployment.service.process.pid) / MB - before)
        return rate

    before = peak_bytes(deployment.service.process.pid) / MB
    sides = {
        "ours": download,
        "theirs": lambda: _rate(
            deployment.baseline.url, deployment.token, "/files/cv.pdf", seconds=size.seconds * SHARE
        ),
    }
    work = f"a CV of {len(CV) // MB} MB downloaded, {deployment.name}"
    rates = in_turn(size, sides)
    yield Result(
        work=work,
        beside="Starlette's StaticFiles",
        unit="MB/s",
        ours=rates["ours"],
        theirs=rates["theirs"],
        goal=0.6,
        is_detail=deployment.name == "SQLite",
    )
    yield Result(
        work=f"{work}: memory added", beside="", unit="MB", ours=added, theirs=(), goal=30, at_most=True, is_detail=True
    )


def _submit_large_cv(deployment: Deployment) -> int:
    """Submit a lead with a large CV and return its id."""
    form = {"email": "large@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    answer = httpx2.post(
        f"{deployment.service.url}/internal/leads/",
        data=form,
        files={"CV": ("cv.pdf", CV)},
        headers={"Authorization": f"Bearer {deployment.token}"},
        timeout=60,
    )
    return int(answer.raise_for_status().json()["id"])


def _rate(url: str, token: str, path: str, *, seconds: float) -> float:
    """Return the rate in MB/s of consecutive downloads over one connection."""
    received = 0
    with PersistentConnection(url, token) as connection:
        connection.get(path)
        began = time.perf_counter()
        while (taken := time.perf_counter() - began) < seconds:
            received += connection.get(path)
    return received / taken / MB
