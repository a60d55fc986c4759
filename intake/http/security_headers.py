"""Headers that every answer has, unless it has its own: what a browser must not do with it."""

from starlette.datastructures import MutableHeaders

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}


def add_security_headers(headers: MutableHeaders, *, path: str) -> None:
    """Add the headers that the answer to a request for `path` lacks.

    Strict-Transport-Security is for the proxy that speaks TLS: over plain HTTP browsers pass it over.
    """
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    if "Access-Control-Allow-Origin" not in headers:
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    if path.startswith("/internal/"):
        headers.setdefault("Cache-Control", "no-store")
