"""The public door's answers as pages, for a browser that sends a form by itself: no script, no client of ours."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.http import problems
from intake.http.templates import PAGE_POLICY, templates
from intake.public_api import messages
from intake.settings import Settings

_PAGE = "text/html"
MAX_RANGES = 32  # that are read of an Accept: browsers send ten at most
_DATA = ("application/json", problems.MEDIA_TYPE)


class HtmlFormMiddleware:
    """Answers a form with a page where its sender prefers that: with thanks, or with what to do about a problem.

    A page has its answer's status and headers, but for thanks: these are a page (200), or the way to the firm's own
    (303). Whatever else is answered stays as it is, and so does everything for those who prefer JSON or don't care.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._thanks_url = settings.form_thanks_url
        self._known = {"firm": settings.mail_from.display_name}
        self._max_cv_bytes = settings.max_cv_bytes
        self._template = templates("intake.public_api").get_template("form_result.html.jinja")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        wants_page = accepts_html(Headers(scope=scope))
        answer = _Answer()

        async def send_page(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).add_vary_header("Accept")
            if not wants_page:
                await send(message)
            elif answer.add(message):
                for part in self._shown(answer):
                    await send(part)

        await self._app(scope, receive, send_page)

    def _shown(self, answer: "_Answer") -> Iterator[Message]:
        if answer.status == 204 and self._thanks_url:
            return answer.replaced(303, {"Location": self._thanks_url})
        if answer.status == 204:
            return self._page(answer, 200, messages.THANKS)
        if (problem := answer.problem) is None:
            return answer.replaced(answer.status, {}, answer.body)
        explained = messages.explain(
            problem, retry_after=answer.headers.get("retry-after"), max_bytes=self._max_cv_bytes
        )
        return self._page(answer, answer.status, explained)

    def _page(self, answer: "_Answer", status: int, said: messages.Message) -> Iterator[Message]:
        page = self._template.render(said=said, **self._known).encode()
        headers = {
            "Content-Type": f"{_PAGE}; charset=utf-8",
            "Content-Language": "en",
            "Content-Security-Policy": PAGE_POLICY,
        }
        return answer.replaced(status, headers, page)


class _Answer:
    """An answer as it is sent, held back until it is whole; this door's are all small."""

    def __init__(self) -> None:
        self.body = b""
        self._start: Message = {}

    def add(self, message: Message) -> bool:
        """Take a part of it in, and return whether that was the last."""
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
        """The problem that it tells of, if it does."""
        if self.headers.get("content-type") != problems.MEDIA_TYPE:
            return None
        return dict(json.loads(self.body))

    def replaced(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> Iterator[Message]:
        """Yield it with another status and body, and these headers beside its own."""
        own = self.headers
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            own[name] = value
        yield {**self._start, "status": status}
        yield {"type": "http.response.body", "body": body}


@dataclass(frozen=True)
class _Range:
    """One of the media ranges that a client takes (RFC 9110, section 12.5.1), and how much it likes it."""

    media_type: str
    quality: float

    @classmethod
    def read(cls, text: str) -> "_Range":
        media_type, *parameters = (part.strip().lower() for part in text.split(";"))
        quality = next((value for name, _, value in (p.partition("=") for p in parameters) if name == "q"), "1")
        try:
            return cls(media_type, min(max(float(quality), 0.0), 1.0))
        except ValueError:
            return cls(media_type, 0.0)


def accepts_html(headers: Headers) -> bool:
    """Return whether a page of HTML is liked better than JSON. Browsers say so; `*/*`, or no word of it, doesn't."""
    accepted = [_Range.read(text) for text in ",".join(headers.getlist("accept")).split(",", MAX_RANGES)[:MAX_RANGES]]
    page = _liking(_PAGE, accepted)
    return page > (0.0, 0) and page > max(_liking(data, accepted) for data in _DATA)


def _liking(media_type: str, accepted: list[_Range]) -> tuple[float, int]:
    """Return how much a media type is liked, and how much of it is named: some browsers like `text/html, */*` the same.

    What is said of the type itself counts, and only where nothing is, what is said of its kind.
    """
    for unnamed, spelling in enumerate((media_type, f"{media_type.partition('/')[0]}/*", "*/*")):
        if found := [item.quality for item in accepted if item.media_type == spelling]:
            return max(found), -unnamed
    return 0.0, -3
