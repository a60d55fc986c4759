"""CVs saved by `w` and opened by `o`."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from leadctl.errors import Conflict, LeadctlError
from leadctl.files.downloads import to_file
from leadctl.files.filenames import safe_name
from leadctl.triage.facts import Facts

if TYPE_CHECKING:
    from leadctl.api import Api

START_WITHIN_S = 3.0


def save_cv(api: "Api", facts: Facts, directory: Path) -> Path:
    """Download a CV to ID-NAME in the directory, and return its path. Raises LeadctlError."""
    lead_id = facts.lead_id
    # the displayed name, which the user has read, not the one that the download sends
    path = directory / f"{lead_id}-{safe_name(facts.cv_name)}"

    def choose(_name: str) -> Path:
        if path.exists():
            raise FileExistsError
        return path

    try:
        source = partial(api.download_cv, lead_id, quarantined=False)
        to_file(source, lead_id, choose, directory, force=False, transfer=lambda _size: nullcontext(lambda _n: None))
    except FileExistsError as error:
        raise LeadctlError(f"{path.name} already exists") from error
    except OSError as error:
        raise LeadctlError(f"can't write {path}: {error.strerror}") from error
    except Conflict as error:
        raise LeadctlError(f"{error} (leadctl download-cv --force-quarantined {lead_id})") from error
    return path


def open_file(path: Path) -> None:
    """Open a file in the system's viewer. Raises LeadctlError if there is none."""
    if sys.platform == "win32":
        os.startfile(path)  # noqa: S606 - the user asked for it
        return
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        raise LeadctlError("there is no viewer (xdg-open is not installed); press w to save the file")
    viewer = subprocess.Popen(  # noqa: S603 - no shell
        [opener, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        code = viewer.wait(START_WITHIN_S)
    except subprocess.TimeoutExpired:  # some viewers run until they are closed
        return
    if code:
        raise LeadctlError("no viewer can open this file; press w to save it")
