"""Default security headers of every response, and the Content-Security-Policy of HTML pages."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence

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


def page_policy(page: str, *, allowed: Mapping[str, str] | None = None, frame_ancestors: Sequence[str] = ()) -> str:
    """Return the policy of a page: it may use its own `<style>` elements, and what is `allowed`, by directive.

    Only pages of the `frame_ancestors` may frame it.
    """
    styles = [hashlib.sha256(style.encode()).digest() for style in re.findall("<style>(.*?)</style>", page, re.DOTALL)]
    directives = {
        "default-src": "'none'",
        "style-src": " ".join(f"'sha256-{b64encode(digest).decode('ascii')}'" for digest in styles) or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        **(allowed or {}),
    }
    framed_by = f"frame-ancestors {' '.join(frame_ancestors)}" if frame_ancestors else FRAMED_BY_NOBODY
    return "; ".join([*(f"{name} {sources}" for name, sources in directives.items()), framed_by])
