"""Checks that other users of the machine cannot write files that control the service."""

import os
import stat
from pathlib import Path


def ownership_fault(path: Path) -> str | None:
    """Return the fault in a file's owner or mode, with its remedy; None if only we or root can write it.

    The parent directories are not checked. Windows has no such modes and owners.
    """
    if not hasattr(os, "geteuid"):
        return None
    status = path.stat()
    if status.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user: chown it to root or to the service's user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} can be written by other users: chmod go-w {path}"
    return None
