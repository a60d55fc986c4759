"""Coverage-guided fuzzing of the multipart reader (`make fuzz`), with mutated real forms as seeds.

`python -m tests.fuzz SECONDS` prints the input that breaks a property in base64 and its traceback, or else the number
of inputs tried.
"""

import logging
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import atheris

MAX_CHANGES = 8
MAX_CUTS = 6
MAX_CHARACTERS = 60
MAX_INPUT_BYTES = 4096


def main() -> None:
    """Run the fuzzer with its corpus in a temporary directory."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    with atheris.instrument_imports(
        include=["intake.http.multipart", "intake.http.multipart_parser", "intake.http.content_disposition"]
    ):
        from tests.fuzz import forms

    logging.disable()

    def one(data: bytes) -> None:
        given = atheris.FuzzedDataProvider(data)
        if given.ConsumeProbability() < 0.25:
            _encoded(forms, given)
        else:
            body = _changed(forms, given)
            forms.check_any(body, given.ConsumeIntList(MAX_CUTS, 2))

    corpus = tempfile.mkdtemp(prefix="intake-fuzz-")
    for number, seed in enumerate(forms.SEEDS):
        Path(corpus, f"seed{number}").write_bytes(seed * 3)
    limits = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}", "-timeout=20", "-rss_limit_mb=1024"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={corpus}/", "-print_final_stats=1", corpus], one)
    atheris.Fuzz()


def _encoded(forms: ModuleType, given: Any) -> None:
    texts = {name: given.ConsumeUnicodeNoSurrogates(MAX_CHARACTERS) for name in forms.TEXTS}
    filename = forms.sendable_name(given.ConsumeUnicodeNoSurrogates(MAX_CHARACTERS)) or "cv"
    content = given.ConsumeBytes(given.ConsumeIntInRange(0, forms.MAX_FILE_BYTES))
    forms.check_encoded(texts, filename, content, given.ConsumeIntList(MAX_CUTS, 2))


def _changed(forms: ModuleType, given: Any) -> bytes:
    body = bytearray(given.PickValueInList(list(forms.SEEDS)))
    for _ in range(given.ConsumeIntInRange(0, MAX_CHANGES)):
        _change(body, forms, given)
    return bytes(body)


def _change(body: bytearray, forms: ModuleType, given: Any) -> None:
    start = given.ConsumeIntInRange(0, len(body))
    end = min(len(body), start + given.ConsumeIntInRange(0, 200))
    kind = given.ConsumeIntInRange(0, 4)
    if kind == 0:
        del body[start:end]
    elif kind == 1:
        body[start:start] = given.PickValueInList(list(forms.TOKENS))
    elif kind == 2:
        body[start:end] = given.ConsumeBytes(given.ConsumeIntInRange(0, 20))
    elif kind == 3:
        at = given.ConsumeIntInRange(0, len(body))
        body[at:at] = body[start:end]
    else:
        body[start : start + 1] = given.ConsumeBytes(1)


if __name__ == "__main__":
    main()
