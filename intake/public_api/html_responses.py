"""HTML responses of the public API, for browsers that submit a form without a script."""

import json
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.http import problems
from intake.http.templates import page_policy, templates
from intake.public_api import messages
from intake.settings import Settings

_PAGE = "text/html"
MAX_RANGES = 32  # media ranges of an Accept header that are read; browsers send at most ten
_DATA = ("application/json", problems.MEDIA_TYPE)


class HtmlFormMiddleware:
    """Replaces responses to a form with HTML pages if the client prefers HTML: thanks, or how to solve a problem.

    A problem's page has the status and headers of the original response. Thanks are a page (200), or a redirect to the
    firm's own page (303). Other responses, and those to clients without a preference for HTML, are not changed.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._thanks_url = settings.form_thanks_url
        self._context = {
            "firm": settings.mail_from.display_name,
            "firm_url": settings.firm_url,
            "firm_contact": settings.firm_contact,
        }
        self._max_cv_bytes = settings.max_cv_bytes
        self._policy = page_policy(settings.form_frame_ancestors)
        self._template = templates("intake.public_api").get_template("form_result.html.jinja")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        prefers_html = accepts_html(Headers(scope=scope))
        start: Message = {}
        body = bytearray()  # buffered until it is complete; those of this API are small

        async def send_page(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).add_vary_header("Accept")
                start.update(message)
            if not prefers_html:
                await send(message)
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._send_page(start, bytes(body), send)

        await self._app(scope, receive, send_page)

    async def _send_page(self, start: Message, body: bytes, send: Send) -> None:
        """Send the response with the page for its status instead of its body, if there is one."""
        headers = MutableHeaders(scope=start)
        if start["status"] == 204 and self._thanks_url:
            start["status"], headers["Location"] = 303, self._thanks_url
        elif start["status"] == 204:
            start["status"], body = 200, self._page(messages.THANKS, headers)
        elif headers.get("content-type") == problems.MEDIA_TYPE:
            retry_after = headers.get("retry-after")
            explained = messages.explain(json.loads(body), retry_after=retry_after, max_bytes=self._max_cv_bytes)
            body = self._page(explained, headers)
        headers["Content-Length"] = str(len(body))
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _page(self, message: messages.Message, headers: MutableHeaders) -> bytes:
        """Return a page, and set its headers."""
        headers["Content-Type"] = f"{_PAGE}; charset=utf-8"
        headers["Content-Language"] = "en"
        headers["Content-Security-Policy"] = self._policy
        return self._template.render(message=message, **self._context).encode()


def accepts_html(headers: Headers) -> bool:
    """Return whether Accept prefers text/html over JSON, as in browsers; `*/*` or no header does not."""
    accepted = headers.getlist("accept")
    if all(one == "*/*" for one in accepted):  # of most scripts
        return False
    qualities: dict[str, float] = {}
    for text in ",".join(accepted).split(",", MAX_RANGES)[:MAX_RANGES]:
        media_range, quality = _parse_media_range(text)
        qualities[media_range] = max(quality, qualities.get(media_range, 0.0))
    page = _preference(_PAGE, qualities)
    return page > (0.0, 0) and page > max(_preference(data, qualities) for data in _DATA)


def _parse_media_range(text: str) -> tuple[str, float]:
    """Return a media range of an Accept header, and its quality (RFC 9110, section 12.5.1)."""
    media_range, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = next((value for name, _, value in (p.partition("=") for p in parameters) if name == "q"), "1")
    try:
        return media_range, min(max(float(quality), 0.0), 1.0)
    except ValueError:
        return media_range, 0.0


def _preference(media_type: str, qualities: Mapping[str, float]) -> tuple[float, int]:
    """Return the quality of a media type, and how specific its range is: some browsers send `text/html, */*`.

    The most specific range that matches counts.
    """
    for wildcards, spelling in enumerate((media_type, f"{media_type.partition('/')[0]}/*", "*/*")):
        if spelling in qualities:
            return qualities[spelling], -wildcards
    return 0.0, -3
