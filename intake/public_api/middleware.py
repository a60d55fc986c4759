"""Public API middleware: CORS and HTML responses."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from intake.leads.submissions import KEY_FIELD
from intake.public_api.form_pages import FormPages
from intake.public_api.html_responses import HtmlFormMiddleware
from intake.public_api.leads import PATH
from intake.settings import Settings

_PATHS = (PATH, PATH.rstrip("/"))
_EXPOSED = ("Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-ID")


class PublicApiMiddleware:
    """Adds CORS and HTML responses to the public API, and passes other requests through.

    It wraps the error handlers, so that a script on the firm's website can read error responses, too.
    """

    def __init__(self, app: ASGIApp, settings: Settings, pages: FormPages) -> None:
        self._app = app
        self._public: ASGIApp = HtmlFormMiddleware(app, settings, pages)
        if settings.cors_origins:
            self._public = CORSMiddleware(
                self._public,
                allow_origins=settings.cors_origins,
                allow_methods=("POST",),
                allow_headers=("Content-Type", KEY_FIELD),
                expose_headers=_EXPOSED,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_public = scope["type"] == "http" and scope["path"] in _PATHS
        await (self._public if is_public else self._app)(scope, receive, send)
