"""Reads: the whole list, pages and CVs, on one filled database of each kind."""

from collections.abc import Iterator

from benchmarks import downloads, pages, whole_list
from benchmarks.measure import Result, Size
from benchmarks.services import KINDS, deployed


def results(size: Size) -> Iterator[Result]:
    """Yield the results for both databases."""
    for kind in KINDS:
        with deployed(kind, leads=size.leads) as deployment:
            yield from pages.results(deployment, size)
            if kind == "postgresql":  # password hashing does not depend on the database
                yield from pages.during_logins(deployment, size)
            yield from whole_list.results(deployment, size)
            yield from downloads.results(deployment, size)
