"""HTML responses of the public API, for browsers that submit a form without a script."""

import json
from typing import Any

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.http import problems
from intake.public_api import messages
from intake.public_api.form_pages import FORM_PATH, FormPages, Page
from intake.public_api.languages import Language
from intake.public_api.negotiation import HTML, accepts_html
from intake.settings import Settings

MINIMAL = "return=minimal"  # a Prefer header (RFC 7240) with which the form's script asks for no redirect


class HtmlFormMiddleware:
    """Replaces responses to a form with HTML pages if the client prefers HTML: a confirmation, or help with a problem.

    A problem's page has the status and headers of the original response; for a 422 to the hosted form, it is the form.
    The confirmation is a page (200) or a redirect (303), for the hosted form always a redirect. Other responses, and
    those to clients without a preference for HTML, are not changed. A browser that opens the path with GET is
    redirected to the form.
    """

    def __init__(self, app: ASGIApp, settings: Settings, pages: FormPages) -> None:
        self._app, self._pages = app, pages
        self._thanks_url = settings.form_thanks_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        prefers_html, is_post = accepts_html(headers), scope["method"] == "POST"
        app = self._app
        if prefers_html and not is_post and self._pages.is_served(headers.get("host", "")):
            app = RedirectResponse(self._form_url(scope), 303)
        start: Message = {}
        body = bytearray()  # buffered until it is complete; those of this API are small

        async def send_page(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).add_vary_header("Accept")
                start.update(message)
            if not (prefers_html and is_post):
                await send(message)
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._send_page(scope, start, bytes(body), send)

        await app(scope, receive, send_page)

    def _form_url(self, scope: Scope) -> str:
        return self._pages.form_url(self._language(scope)) if scope["query_string"] else FORM_PATH

    def _language(self, scope: Scope) -> Language:
        return self._pages.language(QueryParams(scope["query_string"]), Headers(scope=scope))

    async def _send_page(self, scope: Scope, start: Message, body: bytes, send: Send) -> None:
        """Send the response with the page for its status instead of its body, if there is one."""
        headers, language = MutableHeaders(scope=start), self._language(scope)
        values = scope["state"].get("hosted_form")
        if start["status"] == 204:
            body = self._thank(language, start, headers, is_hosted=values is not None, prefer=Headers(scope=scope))
        elif headers.get("content-type") == problems.MEDIA_TYPE:
            page = self._problem(language, json.loads(body), values, headers.get("retry-after"))
            body = _html(page, headers)
        headers["Content-Length"] = str(len(body))
        await send(start)
        await send({"type": "http.response.body", "body": body})

    def _thank(
        self, language: Language, start: Message, headers: MutableHeaders, *, is_hosted: bool, prefer: Headers
    ) -> bytes:
        """Turn a 204 into a page or a redirect, and return the body."""
        if is_hosted and prefer.get("prefer") == MINIMAL:
            return b""
        if is_hosted or self._thanks_url:
            start["status"], headers["Location"] = 303, self._pages.thanks_url(language)
            return b""
        start["status"] = 200
        return _html(self._pages.result(language, messages.thanks(language)), headers)

    def _problem(
        self, language: Language, problem: dict[str, Any], values: dict[str, str] | None, retry_after: str | None
    ) -> Page:
        if problem["status"] == 422 and values is not None:
            return self._pages.rejected(language, values, problem["errors"])
        return self._pages.problem(language, problem, retry_after=retry_after)


def _html(page: Page, headers: MutableHeaders) -> bytes:
    """Return the body of a page, and set its headers."""
    headers.update(
        {
            "Content-Type": f"{HTML}; charset=utf-8",
            "Content-Language": page.language,
            "Content-Security-Policy": page.policy,
        }
    )
    return page.html.encode()
