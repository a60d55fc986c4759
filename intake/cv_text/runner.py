"""Runs the child process that extracts the text of one file, and validates what it writes."""

import re
import selectors
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from intake.cv_text.draft import MAX_PAGES, MAX_TEXT_BYTES, cut_marks
from intake.cv_text.sandbox import BEST_EFFORT
from intake.errors import Stopped

MAX_OUTPUT_BYTES = 2**21
POLL_S = 0.2
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
CHILD = (sys.executable, "-I", "-X", "utf8", "-m", "intake.cv_text.child")


class ChildFailed(Exception):
    """The child produced no valid result; `reason` is `timeout`, `crashed` or `output`.

    It `is_final` if another attempt would end in the same way, at the same cost.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.is_final = reason, is_final


class Extraction(BaseModel):
    """The validated result of a child."""

    model_config = ConfigDict(strict=True, extra="forbid")
    state: Literal["done", "empty", "failed"]
    reason: Literal["encrypted", "damaged", "unsupported"] | None = None
    text: str | None = None
    pages: list[int] = Field(default=[], max_length=MAX_PAGES)
    truncated: bool = False
    guessed: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.state == "done") != bool(self.text) or (self.state == "failed") != (self.reason is not None):
            raise ValueError("the state does not fit the other fields")
        text = self.text or ""
        if len(text.encode()) > MAX_TEXT_BYTES or _CONTROL.search(text) or not _is_normalized(text):
            raise ValueError("the text is not normalized")
        if self.pages and (self.pages != sorted(self.pages) or self.pages[0] != 0 or self.pages[-1] > len(text)):
            raise ValueError("the pages are not offsets in the text")
        return self


def _is_normalized(text: str) -> bool:
    # the order matters: the second takes quadratic time on long runs of marks
    return cut_marks(text) == text and unicodedata.is_normalized("NFC", text)


@dataclass(frozen=True)
class Limits:
    """Seconds that a child may take: by the clock, and of CPU time."""

    wall_s: float = 30.0
    cpu_s: int = 10


PDF_LIMITS = Limits()
OTHER_LIMITS = Limits(cpu_s=5)  # no parser of these types needs a second for 16 MiB, unless the file attacks it


def extract(
    file: IO[bytes],
    media_type: str,
    *,
    mode: str = BEST_EFFORT,
    limits: Limits | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    program: Sequence[str] = (),
) -> Extraction:
    """Extract the text of an open file, from its beginning, in a new process.

    `limits` and `program` are replaced by tests. Raises ChildFailed or Stopped.
    """
    limits = limits or (PDF_LIMITS if media_type == "application/pdf" else OTHER_LIMITS)
    file.seek(0)
    deadline = time.monotonic() + limits.wall_s
    with subprocess.Popen(  # noqa: S603 - the media type is an argument, and no shell reads it
        [*(program or CHILD), media_type, mode, str(limits.cpu_s)],
        bufsize=0,
        stdin=file,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        start_new_session=True,  # a signal to the service's group is not for the child
    ) as child:
        try:
            output = _read(child, deadline, is_stopping)
        finally:
            child.kill()
    return _validated(output, child.returncode)


def _read(child: "subprocess.Popen[bytes]", deadline: float, is_stopping: Callable[[], bool]) -> bytes:
    """Return what the child writes until it ends. Raises ChildFailed or Stopped."""
    assert child.stdout is not None
    output, is_open = bytearray(), True
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while is_open:
            if is_stopping():
                raise Stopped
            if (left := deadline - time.monotonic()) <= 0:
                raise ChildFailed("timeout")
            if selector.select(min(left, POLL_S)):
                chunk = child.stdout.read(2**16)
                output += chunk
                is_open = bool(chunk)
            if len(output) > MAX_OUTPUT_BYTES:
                raise ChildFailed("output")
    try:
        child.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise ChildFailed("timeout") from None
    return bytes(output)


def _validated(output: bytes, exit_code: int) -> Extraction:
    if exit_code == -signal.SIGXCPU:
        raise ChildFailed("timeout", is_final=True)
    if exit_code != 0:
        raise ChildFailed("crashed")
    try:
        return Extraction.model_validate_json(output)
    except ValidationError as error:
        raise ChildFailed("output") from error
