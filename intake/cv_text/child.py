"""Child process that extracts the text of the file on standard input, and writes one JSON object."""

import json
import os
import sys

from intake.cv_text import sandbox
from intake.cv_text.draft import ExtractionFailed
from intake.cv_text.extraction import extract, prepare


def main() -> None:
    """Enter the sandbox, then extract; the arguments are the media type, the mode and the seconds of CPU time."""
    media_type, mode, cpu_s = sys.argv[1:]
    prepare()
    sandbox.enter(mode, cpu_s=int(cpu_s))
    output = memoryview(json.dumps(_result(sys.stdin.buffer.read(), media_type), ensure_ascii=False).encode())
    while output:
        output = output[os.write(1, output) :]
    os._exit(0)  # without destructors, which have nothing to save


def _result(data: bytes, media_type: str) -> dict[str, object]:
    try:
        found = extract(data, media_type)
    except ExtractionFailed as error:
        return {"state": "failed", "reason": error.reason}
    except (ValueError, LookupError, ArithmeticError, RecursionError, AttributeError, TypeError):
        return {"state": "failed", "reason": "damaged"}
    state = "done" if found.text else "empty"
    return {"state": state, **vars(found)} if found.text else {"state": state}


if __name__ == "__main__":
    main()
