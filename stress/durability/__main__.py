"""The proofs as a command: everything at full size, or the proofs that are named.

`python -m stress.durability [--small] [PROOF…]` prints what each proof counted, and ends with
1 if a claim is broken.
"""

import argparse
import signal
import sys
import time

from stress.durability.deployment import Site
from stress.durability.proofs import PROOFS
from stress.durability.tally import FULL, SMALL


def main() -> None:
    """Run the proofs one after another, whatever comes of each."""
    parser = argparse.ArgumentParser(prog="python -m stress.durability", description="Prove the promises by force.")
    parser.add_argument("--small", action="store_true", help="smaller numbers, as in the tests")
    parser.add_argument("proofs", nargs="*", metavar="PROOF", help=f"of {', '.join(PROOFS)}; all if absent")
    arguments = parser.parse_args()
    if unknown := set(arguments.proofs) - PROOFS.keys():
        parser.error(f"no such proof: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all that was started is ended
    sys.exit(not run(arguments.proofs or list(PROOFS), small=arguments.small))


def run(names: list[str], *, small: bool) -> bool:
    """Run these proofs, print their tallies, and return whether every claim holds."""
    hold = True
    began = time.monotonic()
    with Site(SMALL if small else FULL) as site:
        for name in names:
            for kind in PROOFS[name].kinds:
                for tally in PROOFS[name].run(site, kind):
                    print(tally, flush=True)
                    hold = hold and not tally.broken
    print(f"{'Every claim holds' if hold else 'A claim is BROKEN'}; it took {time.monotonic() - began:.0f} s.")
    return hold


if __name__ == "__main__":
    main()
