"""Public API middleware: CORS and HTML responses."""

from collections.abc import Mapping

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from intake.leads.submissions import KEY_FIELD
from intake.public_api.form_pages import FormPages
from intake.public_api.html_responses import HtmlFormMiddleware
from intake.public_api.leads import PATH
from intake.settings import Settings

_EXPOSED = ("Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-ID")


def public_middleware(app: ASGIApp, settings: Settings, pages: FormPages) -> Mapping[str, ASGIApp]:
    """Return `app` with CORS and HTML responses, by the path that uses them.

    They also apply to error responses, so that a script on the firm's website can read these.
    """
    wrapped: ASGIApp = HtmlFormMiddleware(app, settings, pages)
    if settings.cors_origins:
        wrapped = CORSMiddleware(
            wrapped,
            allow_origins=settings.cors_origins,
            allow_methods=("POST",),
            allow_headers=("Content-Type", KEY_FIELD),
            expose_headers=_EXPOSED,
        )
    return {PATH: wrapped, PATH.rstrip("/"): wrapped}
