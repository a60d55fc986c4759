"""Limit on the duration of a shutdown."""

import subprocess
import sys
import time

HANGING = """
import threading
from intake.server import limit_shutdown
limit_shutdown(0.5)
threading.Thread(target=threading.Event().wait).start()
"""


def test_a_hanging_thread_does_not_outlive_the_grace_period() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (1, "the shutdown took longer than INTAKE_SHUTDOWN_GRACE; ending now\n")
    assert time.monotonic() - began < 10
