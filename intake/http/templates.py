"""HTML templates, without scripts and external resources."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined

# a page may load nothing, submit nothing and be framed by nobody; its style is inline
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


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
