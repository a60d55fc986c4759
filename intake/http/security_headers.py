"""Default security headers of every response."""

from starlette.datastructures import MutableHeaders

FRAMED_BY_NOBODY = "frame-ancestors 'none'"
_DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": f"default-src 'none'; {FRAMED_BY_NOBODY}",
}


def add_security_headers(headers: MutableHeaders, *, path: str) -> None:
    """Add the security headers that the response to a request for `path` lacks.

    Strict-Transport-Security is left to the TLS proxy: browsers ignore it over plain HTTP.
    """
    for name, value in _DEFAULTS.items():
        headers.setdefault(name, value)
    if FRAMED_BY_NOBODY in headers["Content-Security-Policy"]:
        headers.setdefault("X-Frame-Options", "DENY")  # it can't name origins
    if "Access-Control-Allow-Origin" not in headers:
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if path.startswith("/internal/"):
        headers.setdefault("Cache-Control", "no-store")
