"""Command line of the operations drill: `python -m stress.drill [--small]`.

It prints each figure beside its bound. The exit code is 1 if one is broken.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator

from stress.drill import steps
from stress.drill.report import Figure
from stress.drill.site import Site
from stress.drill.traffic import RATE, Traffic


def main() -> None:
    """Run the steps one after another, under traffic; a broken bound does not stop the rest."""
    parser = argparse.ArgumentParser(prog="python -m stress.drill", description="Practise operations on a deployment.")
    parser.add_argument("--small", action="store_true", help="use short times")
    small = parser.parse_args().small
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, which stops every started process
    began, all_hold = time.monotonic(), True
    for figure in figures(small=small):
        print(figure, flush=True)
        all_hold = all_hold and figure.holds
    print(f"{'Every bound holds' if all_hold else 'A bound is BROKEN'} after {time.monotonic() - began:.0f} s.")
    sys.exit(not all_hold)


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield the figures of all steps."""
    drain_s, grace_s, upload_s = (5.0, 20.0, 12.0) if small else (10.0, 70.0, 60.0)
    print(f"{RATE} submissions a second through nginx, four replicas, PgBouncer, PostgreSQL with a standby, and Redis")
    with Site(drain_s=drain_s, grace_s=grace_s) as site, Traffic(site.proxy) as traffic:
        time.sleep(3)
        yield from steps.rolling_restart(site, traffic, upload_s)
        yield from steps.backup_and_restore(site, traffic)
        yield from steps.failover(site, traffic, synchronous=False)
        yield from steps.failover(site, traffic, synchronous=True)
        traffic.stop()
        yield from steps.mails_settle(site)


if __name__ == "__main__":
    main()
