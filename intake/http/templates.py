"""HTML templates, without scripts and external resources."""

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


@cache  # compiling them is the slowest part of the start
def templates(package: str, *, is_strict: bool = True) -> Environment:
    """Return the templates in a package, with escaping.

    An undefined name raises an error if `is_strict`, and is empty otherwise.
    """
    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined if is_strict else Undefined,
    )
