"""Everything that is read: the whole list, pages of it, and CVs; on a database of each kind that is filled once."""

from collections.abc import Iterator

from benchmarks import downloads, pages, whole_list
from benchmarks.measure import Result, Size
from benchmarks.services import KINDS, firm


def results(size: Size) -> Iterator[Result]:
    """Yield the results of both databases."""
    for kind in KINDS:
        with firm(kind, leads=size.leads) as one:
            yield from pages.results(one, size)
            if kind == "postgresql":  # hashing is the same work with either
                yield from pages.during_logins(one, size)
            yield from whole_list.results(one, size)
            yield from downloads.results(one, size)
