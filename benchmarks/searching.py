"""Latency of searches by words among leads with CVs, compared with a constant response."""

from collections.abc import Iterator
from functools import partial

from benchmarks import http_client
from benchmarks.measure import Result, Size, in_turn
from benchmarks.pages import CONSTANT, PAGE
from benchmarks.sample_data import ABSENT, HALF
from benchmarks.services import KINDS, deployed

LEADS = 200_000
SHARE = 1 / 4  # of a round's seconds, for each measurement
COMMON = "in half of the leads"


def results(size: Size) -> Iterator[Result]:
    """Yield the latency of each kind of search on both databases."""
    leads = min(size.leads, LEADS)
    queries = {
        "a rare word": f"q=number{leads // 3}",
        "an absent word": f"q={ABSENT}",
        "a common and a rare word": f"q={HALF} number{leads // 3}",
        "a common and an absent word": f"q={HALF} {ABSENT}",
        f"a word {COMMON}": f"q={HALF}",
        f"the beginning of words {COMMON}": f"q={HALF[:4]}",
        "two letters": f"q={HALF[:1]} s",
    }
    for kind in KINDS:
        with deployed(kind, leads=leads, cv_words=True) as deployment:
            token, seconds = deployment.token, size.seconds * SHARE
            constant = partial(http_client.median_of, deployment.baseline.url, token, CONSTANT, seconds=seconds)
            pages = {
                name: partial(
                    http_client.median_of,
                    deployment.service.url,
                    token,
                    f"{PAGE}&order=desc&{query.replace(' ', '+')}",
                    seconds=seconds,
                )
                for name, query in queries.items()
            }
            taken = in_turn(size, {CONSTANT: constant, **pages})
        for name in queries:
            yield Result(
                work=f"a search for {name} among {leads:,} CVs, {deployment.name}",
                beside="a constant with authentication",
                unit="ms",
                ours=taken[name],
                theirs=taken[CONSTANT],
                goal=5 if "rare" in name or "absent" in name else 40,
                at_most=True,
                is_detail=True,
            )
