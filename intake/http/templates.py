"""Pages of the service's own: no script, no other host, nothing unescaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Undefined

# a page may load nothing, send nothing and be framed by nobody; its style stands in it
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache  # compiling them takes longer than all else of a start
def templates(package: str, *, is_strict: bool = True) -> Environment:
    """Return the templates in a package, all of which escape what they are given.

    Where they are strict, a name that they are not given is an error, and else is empty.
    """
    return Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined if is_strict else Undefined,
    )
