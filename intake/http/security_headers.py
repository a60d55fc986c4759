"""Default security headers of every response."""

from collections.abc import Sequence

FRAMED_BY_NOBODY = "frame-ancestors 'none'"
_POLICY, _FRAME_OPTIONS = b"content-security-policy", b"x-frame-options"
_RESOURCE_POLICY, _ALLOWED_ORIGIN = b"cross-origin-resource-policy", b"access-control-allow-origin"
_DEFAULTS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    _POLICY: f"default-src 'none'; {FRAMED_BY_NOBODY}".encode(),
    _FRAME_OPTIONS: b"DENY",
    _RESOURCE_POLICY: b"same-origin",
}
_INTERNAL = _DEFAULTS | {b"cache-control": b"no-store"}


def security_headers(headers: Sequence[tuple[bytes, bytes]], *, path: str) -> list[tuple[bytes, bytes]]:
    """Return the security headers that the response with these headers to a request for `path` lacks.

    Strict-Transport-Security is left to the TLS proxy: browsers ignore it over plain HTTP.
    """
    given = dict(headers)
    defaults = _INTERNAL if path.startswith("/internal/") else _DEFAULTS
    missing = {name: value for name, value in defaults.items() if name not in given}
    if FRAMED_BY_NOBODY.encode() not in given.get(_POLICY, _DEFAULTS[_POLICY]):
        missing.pop(_FRAME_OPTIONS, None)  # it can't name origins
    if _ALLOWED_ORIGIN in given:
        missing.pop(_RESOURCE_POLICY, None)
    return [*missing.items()]
