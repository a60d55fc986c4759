"""The internal door, one method for each route. The names on the wire are known here alone."""

import binascii
import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any, TypeGuard

import httpx2

from leadctl.errors import Conflict, LeadctlError, NotAllowed, NotFound, TryAgain, Usage
from leadctl.settings import is_token

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
PAGE = 1000  # the most that the server gives at once

_LEAD = {"id": int, **dict.fromkeys(("email", "f_name", "l_name", "CV_name", "state", "created_at"), str)}
_MAIL = {"id": int, "lead_id": int, "attempts": int, **dict.fromkeys(("kind", "recipient", "state"), str)}
_CV = {"size": int, "sha256": str, "detected_type": str}
_USER = {"id": int, "username": str, "role": str, "created_at": str}
_TOKEN = {"access_token": str, "expires_in": int}

_ERRORS: Mapping[int, type[LeadctlError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    422: Usage,
    429: TryAgain,
    502: TryAgain,
    503: TryAgain,
    504: TryAgain,
}


@dataclass(frozen=True)
class Login:
    """A fresh token, good for `expires_in` seconds."""

    token: str
    expires_in: int


@dataclass(frozen=True)
class Download:
    """A CV on its way: its name as its sender wrote it, and its bytes.

    The chunks raise LeadctlError where it does not arrive as it was sent.
    """

    name: str
    chunks: Iterator[bytes]


class Api:
    """A server, and the token to show it. Every method raises the LeadctlError that its answer amounts to."""

    def __init__(self, url: str, *, token: str | None) -> None:
        self._url = url
        try:
            self._client = httpx2.Client(
                base_url=url,
                headers={"Authorization": f"Bearer {token}"} if token else {},
                timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            )
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            # the environment's proxies and certificates are read here
            raise LeadctlError(f"can't set up connections, look at *_PROXY and SSL_CERT_*: {error}") from error

    def login(self, username: str, password: str) -> Login:
        """Return a token for the user."""
        answer = self._json("POST", "/internal/auth/login", json={"username": username, "password": password})
        if not _has(answer, _TOKEN) or not is_token(answer["access_token"]):
            raise self._not_intake()
        return Login(answer["access_token"], answer["expires_in"])

    def me(self) -> dict[str, Any]:
        """Return the user."""
        user = self._json("GET", "/internal/auth/me")
        if not _has(user, _USER):
            raise self._not_intake()
        return user

    def register(self, username: str, password: str, *, role: str | None) -> None:
        """Make a user."""
        body = {"username": username, "password": password, **({} if role is None else {"role": role})}
        self._request("POST", "/internal/auth/register", expected=204, json=body)

    def leads(self, filters: Mapping[str, Any], *, newest_first: bool, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the leads that match, at most `limit`, reading them page by page."""
        return self._pages("/internal/leads/", _LEAD, filters, newest_first=newest_first, limit=limit)

    def mails(self, filters: Mapping[str, Any], *, newest_first: bool, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the mails that match, likewise."""
        return self._pages("/internal/mail", _MAIL, filters, newest_first=newest_first, limit=limit)

    def retry_mail(self, mail_id: int) -> None:
        """Make a dead mail owed again."""
        answer = self._json("POST", "/internal/mail/retry", json={"ids": [mail_id]})
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list) or len(results) != 1 or not _has(results[0], {"result": str}):
            raise self._not_intake()
        if results[0]["result"] == "missing":
            raise NotFound(f"there is no mail {mail_id}")
        if results[0]["result"] != "revived":
            raise Conflict(f"mail {mail_id} is not dead")

    def _pages(
        self,
        path: str,
        shape: Mapping[str, type],
        filters: Mapping[str, Any],
        *,
        newest_first: bool,
        limit: int | None,
    ) -> Iterator[dict[str, Any]]:
        left, after = limit, 0
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            query = {**filters, "limit": size, "order": "desc" if newest_first else "asc"}
            if after:
                query["after"] = after
            response = self._request("GET", path, expected=200, params=query)
            page = self._page(response, shape, after)
            yield from page
            if not page or "next" not in response.links:
                return
            left = None if left is None else left - len(page)
            after = page[-1]["id"]

    def lead(self, lead_id: int) -> dict[str, Any]:
        """Return one lead, its CV's facts under names of their own."""
        lead = self._json("GET", f"/internal/leads/{lead_id}")
        if not _has(lead, _LEAD) or not _has(cv := lead.pop("CV", None), _CV):
            raise self._not_intake()
        return {**lead, **{f"CV_{name}": value for name, value in cv.items()}}

    def change_state(self, lead_id: int, state: str, *, expected: str | None) -> None:
        """Move one lead to a state, if it is in the expected one (None: in any)."""
        body = {"status": state, **({} if expected is None else {"from": expected})}
        self._request("PATCH", f"/internal/leads/{lead_id}", expected=204, json=body)

    @contextmanager
    def cv(self, lead_id: int) -> Iterator[Download]:
        """Give the lead's CV as it comes."""
        with self._told(), self._client.stream("GET", f"/internal/leads/{lead_id}/cv-download") as response:
            if response.status_code != 200:
                response.read()
            self._check(response, expected=200)
            chunks = _verified(response.iter_bytes(), _sha256(response.headers.get("repr-digest", "")))
            yield Download(_filename(response.headers.get("content-disposition", "")), chunks)

    def _request(self, method: str, path: str, *, expected: int, **content: Any) -> httpx2.Response:
        with self._told():
            return self._check(self._client.request(method, path, **content), expected=expected)

    def _json(self, method: str, path: str, **content: Any) -> Any:
        return self._parsed(self._request(method, path, expected=200, **content))

    def _page(self, response: httpx2.Response, shape: Mapping[str, type], after: int) -> list[dict[str, Any]]:
        page = self._parsed(response)
        if not isinstance(page, list) or not all(_has(record, shape) for record in page):
            raise self._not_intake()
        if page and page[-1]["id"] == after:
            raise self._not_intake(": its pages do not go on")
        return page

    def _parsed(self, response: httpx2.Response) -> Any:
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            raise self._not_intake() from error

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise TryAgain(f"no answer from {self._url}: {reason}. Is the server up, and the URL right?") from error
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise self._not_intake(f" ({error})") from error

    def _check(self, response: httpx2.Response, *, expected: int) -> httpx2.Response:
        status = response.status_code
        if status == expected:
            return response
        kind = _ERRORS.get(status, LeadctlError)
        if response.headers.get("content-type", "").startswith("application/problem+json"):
            problem = self._parsed(response)
            if isinstance(problem, dict) and isinstance(problem.get("detail"), str):
                raise kind(_told_by(problem, response.headers.get("retry-after", "")))
        if kind is TryAgain:  # a proxy's answer, in place of the service's
            raise TryAgain(f"{self._url} answers {status}: try again in a moment")
        raise self._not_intake(f" ({status})")

    def _not_intake(self, how: str = "") -> LeadctlError:
        return LeadctlError(f"{self._url} does not answer as an intake service{how}: is the URL right?")


def _has(value: Any, shape: Mapping[str, type]) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and all(isinstance(value.get(name), kind) for name, kind in shape.items())


def _told_by(problem: Mapping[str, Any], retry_after: str) -> str:
    detail = str(problem["detail"])
    if request_id := problem.get("request_id"):
        detail += f" (request {request_id})"
    return f"{detail} (in {retry_after} s)" if retry_after.isdigit() else detail


def _filename(header: str) -> str:
    """Return the name that a Content-Disposition offers: `filename*`, where there is one (RFC 6266, section 4.3)."""
    message = Message()
    message["Content-Disposition"] = header
    parameters: Any = message.get_params([], header="Content-Disposition")
    names = [value for key, value in parameters if key == "filename"]
    for name in names:
        if isinstance(name, tuple) and (name[0] or "").lower() in ("utf-8", "iso-8859-1"):
            return str(name[2].encode("latin-1", "replace").decode(name[0], "replace"))
    return next((name for name in names if isinstance(name, str)), "")


def _sha256(header: str) -> str:
    for item in header.split(","):
        algorithm, _, value = item.strip().partition("=")
        if algorithm == "sha-256":
            try:
                return b64decode(value.strip(":"), validate=True).hex()
            except (binascii.Error, ValueError):
                break
    raise LeadctlError("the server sent no SHA-256 with the CV, so it can't be checked")


def _verified(chunks: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    seen = hashlib.sha256()
    for chunk in chunks:
        seen.update(chunk)
        yield chunk
    if seen.hexdigest() != sha256:
        raise LeadctlError("the CV did not arrive as it was sent (its SHA-256 differs); try again")
