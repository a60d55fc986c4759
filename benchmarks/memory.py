"""How much memory a process has taken, from the kernel."""

import re
from pathlib import Path


def peak_mb(pid: int) -> float:
    """Return the most that the process ever had in memory at once, in megabytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1000
