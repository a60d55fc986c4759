"""The attacks as a command: all of them, on both databases and on one process and two, or those that are named.

`python -m stress.load [--small] [--seconds N] [ATTACK…]` prints a line for each, and ends with 1 if a claim
is broken.
"""

import argparse
import os
import platform
import signal
import sys
import time
from dataclasses import replace

from stress.durability import tally
from stress.durability.deployment import POSTGRESQL, SQLITE, Site
from stress.load.attacks import ATTACKS, Crew, run
from stress.load.report import heading
from stress.load.sizes import FULL, ONE, SMALL, TWO, Size


def main() -> None:
    """Run the attacks one after another, whatever comes of each."""
    parser = argparse.ArgumentParser(prog="python -m stress.load", description="Attack a service, and measure.")
    parser.add_argument("--small", action="store_true", help="smaller numbers, as in the tests; times are not judged")
    parser.add_argument("--seconds", type=float, help="how long each attack lasts")
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL], help="both if absent")
    parser.add_argument("--surfaces", choices=["one", "two"], help="as one process or as two; both if absent")
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"of {', '.join(ATTACKS)}; all if absent")
    arguments = parser.parse_args()
    if unknown := set(arguments.attacks) - ATTACKS.keys():
        parser.error(f"no such attack: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all that was started is ended
    size = SMALL if arguments.small else FULL
    if arguments.seconds:
        size = replace(size, seconds=arguments.seconds)
    kinds = [arguments.database] if arguments.database else [SQLITE, POSTGRESQL]
    surfaces = [{"one": ONE, "two": TWO}[arguments.surfaces]] if arguments.surfaces else [ONE, TWO]
    sys.exit(not run_all(arguments.attacks or list(ATTACKS), kinds, surfaces, size))


def run_all(names: list[str], kinds: list[str], surfaces: list[str], size: Size) -> bool:
    """Run these attacks on each target, print what was measured, and return whether every claim holds."""
    hold = True
    began = time.monotonic()
    print(f"On {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; {size}\n{heading()}")
    with Site(tally.SMALL) as site, Crew() as crew:
        for kind in kinds:
            for shape in surfaces:
                for name in names:
                    line = run(site, crew, name, kind, shape, size)
                    print(line, flush=True)
                    hold = hold and not line.broken
    print(f"{'Every claim holds' if hold else 'A claim is BROKEN'}; it took {time.monotonic() - began:.0f} s.")
    return hold


if __name__ == "__main__":
    main()
