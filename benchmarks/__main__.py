"""Performance benchmarks as ratios: `python -m benchmarks [--quick] [--out DIRECTORY] [NAME…]`."""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import (
    bulk_change,
    hanging_relay,
    mail_delivery,
    reading,
    report,
    searching,
    start_up,
    submissions,
    timeline_check,
    triaging,
)
from benchmarks.measure import FULL, QUICK, Result, Size

BENCHMARKS: Mapping[str, Callable[[Size], Iterator[Result]]] = {
    "submissions": submissions.results,
    "timeline_check": timeline_check.results,
    "reading": reading.results,
    "searching": searching.results,
    "draining": mail_delivery.results,
    "hanging_relay": hanging_relay.results,
    "bulk_change": bulk_change.results,
    "start_up": start_up.results,
    "triaging": triaging.results,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="use fewer leads and rounds, as a smoke test")
    parser.add_argument("--out", type=Path, help="directory for performance.json and performance.svg")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}")
    began = time.monotonic()
    results = []
    print(report.heading(), flush=True)
    for name in given.names or BENCHMARKS:
        for result in BENCHMARKS[name](QUICK if given.quick else FULL):
            results.append(result)
            print(report.line(result), flush=True)
    print(f"{report.machine()}; finished after {time.monotonic() - began:.0f} s")
    if given.out:
        report.write(results, given.out)


if __name__ == "__main__":
    main()
