"""The demo runs to its end."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_demo_succeeds_and_removes_its_files(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.demo"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n== ") == 7
    assert "Subject: New lead 1" in done.stdout
    assert list(tmp_path.iterdir()) == []
