"""HTML responses of the public API, for browsers that submit a form without a script."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

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
        response = _BufferedResponse()

        async def send_page(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).add_vary_header("Accept")
            if not prefers_html:
                await send(message)
            elif response.add(message):
                for part in self._rendered(response):
                    await send(part)

        await self._app(scope, receive, send_page)

    def _rendered(self, response: "_BufferedResponse") -> Iterator[Message]:
        if response.status == 204 and self._thanks_url:
            return response.replaced(303, {"Location": self._thanks_url})
        if response.status == 204:
            return self._page(response, 200, messages.THANKS)
        if (problem := response.problem) is None:
            return response.replaced(response.status, {}, response.body)
        explained = messages.explain(
            problem, retry_after=response.headers.get("retry-after"), max_bytes=self._max_cv_bytes
        )
        return self._page(response, response.status, explained)

    def _page(self, response: "_BufferedResponse", status: int, message: messages.Message) -> Iterator[Message]:
        page = self._template.render(message=message, **self._context).encode()
        headers = {
            "Content-Type": f"{_PAGE}; charset=utf-8",
            "Content-Language": "en",
            "Content-Security-Policy": self._policy,
        }
        return response.replaced(status, headers, page)


class _BufferedResponse:
    """A response, buffered until it is complete; those of this API are small."""

    def __init__(self) -> None:
        self.body = b""
        self._start: Message = {}

    def add(self, message: Message) -> bool:
        """Add a message, and return whether it was the last."""
        if message["type"] == "http.response.start":
            self._start = message
            return False
        self.body += message.get("body", b"")
        return not message.get("more_body", False)

    @property
    def status(self) -> int:
        return int(self._start["status"])

    @property
    def headers(self) -> MutableHeaders:
        return MutableHeaders(scope=self._start)

    @property
    def problem(self) -> Mapping[str, Any] | None:
        """The problem document, if the response is one."""
        if self.headers.get("content-type") != problems.MEDIA_TYPE:
            return None
        return dict(json.loads(self.body))

    def replaced(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> Iterator[Message]:
        """Yield the response with another status and body, and additional headers."""
        all_headers = self.headers
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            all_headers[name] = value
        yield {**self._start, "status": status}
        yield {"type": "http.response.body", "body": body}


def accepts_html(headers: Headers) -> bool:
    """Return whether Accept prefers text/html over JSON, as in browsers; `*/*` or no header does not."""
    qualities: dict[str, float] = {}
    for text in ",".join(headers.getlist("accept")).split(",", MAX_RANGES)[:MAX_RANGES]:
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
