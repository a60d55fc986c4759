"""HTML templates, without scripts and external resources."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined

from intake.http.security_headers import FRAMED_BY_NOBODY

# a page may load nothing, submit nothing and be framed by nobody; its style is inline
PAGE_POLICY = f"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; {FRAMED_BY_NOBODY}"


def page_policy(frame_ancestors: Sequence[str]) -> str:
    """Return the policy of a page that these origins may frame."""
    allowed = f"frame-ancestors {' '.join(frame_ancestors)}" if frame_ancestors else FRAMED_BY_NOBODY
    return PAGE_POLICY.replace(FRAMED_BY_NOBODY, allowed)


def hashed_policy(page: str) -> str:
    """Return the policy of a page that nobody may frame and that may use no style but its own `<style>` element."""
    [style] = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return PAGE_POLICY.replace("'unsafe-inline'", f"'sha256-{digest}'")


@cache  # compiling them is the slowest part of the start
def templates(package: str, *, is_strict: bool = True) -> Environment:
    """Return the templates in a package, with escaping.

    An undefined name raises an error if `is_strict`, and is empty otherwise.
    """
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined if is_strict else Undefined,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # in the order of the fields
    return environment
