"""Files that decide what the service does: refused where another user could have written them."""

import os
import stat
from pathlib import Path


def ownership_fault(path: Path) -> str | None:
    """Return what is wrong with a file's owner or mode, and the remedy; None where only we or root can write it.

    The modes of the directories above it do not count. Windows has neither modes nor owners of this kind.
    """
    if not hasattr(os, "geteuid"):
        return None
    status = path.stat()
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user: chown it to root or to the service's user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} can be written by other users: chmod go-w {path}"
    return None
