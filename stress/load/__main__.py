"""Command line of the attack tests: all attacks, on both databases and as one process and two, or the named ones.

`python -m stress.load [--small] [--seconds N] [ATTACK…]` prints a line per attack. The exit code is 1 if a claim is
broken.
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
from stress.load.attacks import ATTACKS, AttackProcesses, run
from stress.load.report import heading
from stress.load.sizes import FULL, ONE, SMALL, TWO, Size


def main() -> None:
    """Run the attacks one after another; a broken claim does not stop the rest."""
    parser = argparse.ArgumentParser(
        prog="python -m stress.load", description="Attack a service and measure its latency."
    )
    parser.add_argument(
        "--small", action="store_true", help="use the small sizes of the test suite; latency is not judged"
    )
    parser.add_argument("--seconds", type=float, help="duration of each attack")
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL], help="default: both")
    parser.add_argument("--surfaces", choices=["one", "two"], help="one process or two; default: both")
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"one of {', '.join(ATTACKS)}; default: all")
    arguments = parser.parse_args()
    if unknown := set(arguments.attacks) - ATTACKS.keys():
        parser.error(f"unknown attack: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds, which stops every started process
    size = SMALL if arguments.small else FULL
    if arguments.seconds:
        size = replace(size, seconds=arguments.seconds)
    kinds = [arguments.database] if arguments.database else [SQLITE, POSTGRESQL]
    surfaces = [{"one": ONE, "two": TWO}[arguments.surfaces]] if arguments.surfaces else [ONE, TWO]
    sys.exit(not run_all(arguments.attacks or list(ATTACKS), kinds, surfaces, size))


def run_all(names: list[str], kinds: list[str], surfaces: list[str], size: Size) -> bool:
    """Run these attacks on each target, print the measurements, and return whether every claim holds."""
    all_hold = True
    began = time.monotonic()
    print(f"On {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; {size}\n{heading()}")
    with Site(tally.SMALL) as site, AttackProcesses() as processes:
        for kind in kinds:
            for shape in surfaces:
                for name in names:
                    line = run(site, processes, name, kind, shape, size)
                    print(line, flush=True)
                    all_hold = all_hold and not line.broken
    print(f"{'Every claim holds' if all_hold else 'A claim is BROKEN'} after {time.monotonic() - began:.0f} s.")
    return all_hold


if __name__ == "__main__":
    main()
