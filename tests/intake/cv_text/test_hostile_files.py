"""Files that attack the parsers: each ends with a text or a reason, within the limits of the sandbox."""

import subprocess
import sys
import tempfile

import pytest

from intake.cv_text import sandbox
from intake.cv_text.draft import MAX_TEXT_BYTES
from intake.cv_text.runner import OTHER_LIMITS, PDF_LIMITS, ChildFailed, Limits, extract
from tests.intake.cv_text.hostile import FILES

LINEAR = (
    *("unfinished HTML", "unfinished comments", "unfinished comments with tags", "unfinished end tags"),
    *("unfinished CDATA sections", "unfinished instructions", "combining marks", "marks of class 0"),
)
DONE = ("DOCX bomb", "nested RTF", "100,000 pages", "ODT of spaces", *LINEAR)
DAMAGED = ("billion laughs in DOCX", "billion laughs in ODT", "random bytes as PDF")
FAILED = ("flate bomb", "flate bomb of two layers", "XObjects that multiply")


def outcome(name: str) -> str:
    media_type, make = FILES[name]
    cpu_s = OTHER_LIMITS.cpu_s if name in LINEAR else PDF_LIMITS.cpu_s if name in DONE else 2
    limits = Limits(wall_s=120, cpu_s=cpu_s)
    with tempfile.TemporaryFile() as file:
        file.write(make())
        file.flush()
        try:
            found = extract(file, media_type, mode=sandbox.REQUIRED, limits=limits)
        except ChildFailed as error:
            return error.reason
    assert len((found.text or "").encode()) <= MAX_TEXT_BYTES
    return found.reason or found.state


@pytest.mark.skipif(bool(sandbox.missing()), reason="this system lacks a part of the sandbox")
@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_ends_with_a_text_or_a_reason(name: str) -> None:
    found = outcome(name)
    assert found in ("done", "empty", "damaged", "crashed", "timeout")
    assert (found == "done") >= (name in DONE)
    assert (found == "damaged") >= (name in DAMAGED)
    assert (found in ("crashed", "timeout")) >= (name in FAILED)


def test_hostile_files_take_no_more_memory_than_the_sandbox_allows() -> None:
    # in another process, since the children of this one include those of other tests
    program = (
        "import resource; from tests.intake.cv_text.test_hostile_files import outcome; outcome('flate bomb');"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) * 2**10 <= sandbox.MEMORY_BYTES
