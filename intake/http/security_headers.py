"""Default security headers of every response."""

from starlette.datastructures import MutableHeaders

_DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}


def add_security_headers(headers: MutableHeaders, *, path: str) -> None:
    """Add the security headers that the response to a request for `path` lacks.

    Strict-Transport-Security is left to the TLS proxy: browsers ignore it over plain HTTP.
    """
    for name, value in _DEFAULTS.items():
        headers.setdefault(name, value)
    if "Access-Control-Allow-Origin" not in headers:
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if path.startswith("/internal/"):
        headers.setdefault("Cache-Control", "no-store")
