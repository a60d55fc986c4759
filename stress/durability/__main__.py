"""Command line of the durability tests: all proofs at full size, or the named ones.

`python -m stress.durability [--small] [PROOF…]` prints the counts of each proof. The exit code is 1 if a
claim is broken.
"""

import argparse
import signal
import sys
import time

from stress.durability.deployment import Site
from stress.durability.proofs import PROOFS
from stress.durability.tally import FULL, SMALL


def main() -> None:
    """Run the proofs one after another; a broken claim does not stop the rest."""
    parser = argparse.ArgumentParser(
        prog="python -m stress.durability", description="Test the durability promises by injecting failures."
    )
    parser.add_argument("--small", action="store_true", help="use the small sizes of the test suite")
    parser.add_argument("proofs", nargs="*", metavar="PROOF", help=f"one of {', '.join(PROOFS)}; default: all")
    arguments = parser.parse_args()
    if unknown := set(arguments.proofs) - PROOFS.keys():
        parser.error(f"unknown proof: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, which stops every started process
    sys.exit(not run(arguments.proofs or list(PROOFS), small=arguments.small))


def run(names: list[str], *, small: bool) -> bool:
    """Run these proofs, print their tallies, and return whether every claim holds."""
    all_hold = True
    began = time.monotonic()
    with Site(SMALL if small else FULL) as site:
        for name in names:
            for kind in PROOFS[name].kinds:
                for tally in PROOFS[name].run(site, kind):
                    print(tally, flush=True)
                    all_hold = all_hold and not tally.broken
    print(f"{'Every claim holds' if all_hold else 'A claim is BROKEN'} after {time.monotonic() - began:.0f} s.")
    return all_hold


if __name__ == "__main__":
    main()
