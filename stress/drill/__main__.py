"""Command line of the operations drill: `python -m stress.drill [--small] [--without-upgrade]`.

It prints each figure beside its bound. The exit code is 1 if one is broken.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stress.drill import steps
from stress.drill.large_backup import back_up_large_database
from stress.drill.report import Figure
from stress.drill.site import Site
from stress.drill.traffic import RATE, Traffic
from tests.migrations.made import ROOT
from tests.proxy.programs import client
from tests.upgrade.versions import PreviousVersionMissing, next_tree, previous_tree


def main() -> None:
    """Run the steps one after another, under traffic; a broken bound does not stop the rest."""
    parser = argparse.ArgumentParser(prog="python -m stress.drill", description="Practise operations on a deployment.")
    parser.add_argument("--small", action="store_true", help="use short times, and omit the large backup")
    parser.add_argument("--without-upgrade", action="store_true", help="use only this version; needs no Git history")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, which stops every started process
    began, all_hold = time.monotonic(), True
    try:
        for figure in figures(small=given.small, with_upgrade=not given.without_upgrade):
            print(figure, flush=True)
            all_hold = all_hold and figure.holds
    except PreviousVersionMissing as missing:
        sys.exit(f"drill: {missing}; or practise without the upgrade: make drill WITHOUT_UPGRADE=1")
    print(f"{'Every bound holds' if all_hold else 'A bound is BROKEN'} after {time.monotonic() - began:.0f} s.")
    sys.exit(not all_hold)


def figures(*, small: bool, with_upgrade: bool) -> Iterator[Figure]:
    """Yield the figures of all steps. Raises PreviousVersionMissing before the first one."""
    drain_s, grace_s, upload_s = (5.0, 20.0, 12.0) if small else (10.0, 70.0, 60.0)
    with tempfile.TemporaryDirectory(prefix="intake-drill-") as trees:
        first = previous_tree(Path(trees) / "previous") if with_upgrade else ROOT
        print(f"{RATE} submissions a second through nginx, four replicas, PgBouncer, PostgreSQL with a standby, Redis")
        with (
            Site(first, drain_s=drain_s, grace_s=grace_s) as site,
            Traffic(lambda: client(site.proxy)) as traffic,
        ):
            time.sleep(3)
            if with_upgrade:
                yield from steps.upgrade(site, traffic, next_tree(Path(trees) / "next"))
            yield from steps.rolling_restart(site, traffic, upload_s)
            yield from steps.backup_and_restore(site, traffic)
            yield from steps.failover(site, traffic, synchronous=False)
            yield from steps.failover(site, traffic, synchronous=True)
            traffic.stop()
            yield from steps.mails_settle(site)
    if not small:
        yield from back_up_large_database()


if __name__ == "__main__":
    main()
