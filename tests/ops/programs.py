"""The programs that check the files in ops/."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
WITHIN_S = 90


def program(name: str, package: str) -> str:
    """Return the path of a program of a Debian package."""
    if (found := shutil.which(name)) is None:
        pytest.exit(f"{name} is not installed; install it with: apt-get install {package}", returncode=1)
    return found


def output_of(*command: str | Path, environment: Mapping[str, str] | None = None, given: str = "") -> str:
    """Run a program that must succeed, and return its output."""
    made = subprocess.run(
        [*map(str, command)],
        input=given,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        cwd=ROOT,
        env=environment,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout + made.stderr
