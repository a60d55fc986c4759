"""The internal door, one method for each route. The names on the wire are known here alone."""

import hashlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any

import httpx2

from leadctl.errors import Conflict, LeadctlError, NotAllowed, NotFound, TryAgain, Usage

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
PAGE = 1000  # the most that the server gives at once

_ERRORS: Mapping[int, type[LeadctlError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    422: Usage,
    429: TryAgain,
    503: TryAgain,
}


@dataclass(frozen=True)
class Login:
    """A fresh token, good for `expires_in` seconds."""

    token: str
    expires_in: int


@dataclass(frozen=True)
class Download:
    """A CV on its way: its name as its sender wrote it, its SHA-256 in hexadecimal, its bytes."""

    name: str
    sha256: str
    chunks: Iterator[bytes]


class Api:
    """A server, and the token to show it."""

    def __init__(self, url: str, *, token: str | None) -> None:
        self._url = url
        self._client = httpx2.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )

    def login(self, username: str, password: str) -> Login:
        """Return a token for the user."""
        answer = self._json("POST", "/internal/auth/login", json={"username": username, "password": password})
        return Login(answer["access_token"], answer["expires_in"])

    def me(self) -> dict[str, Any]:
        """Return the user."""
        return self._json("GET", "/internal/auth/me")

    def register(self, username: str, password: str, *, role: str | None) -> None:
        """Make a user."""
        body = {"username": username, "password": password, **({"role": role} if role else {})}
        self._request("POST", "/internal/auth/register", json=body)

    def leads(self, filters: Mapping[str, Any], *, newest_first: bool, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the leads that match, at most `limit`, reading them page by page."""
        left, after = limit, None
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            query = {**filters, "limit": size, "order": "desc" if newest_first else "asc"}
            response = self._request("GET", "/internal/leads/", params=query | ({"after": after} if after else {}))
            page = self._parsed(response)
            yield from page
            if "next" not in response.links:
                return
            left = None if left is None else left - len(page)
            after = page[-1]["id"]

    def lead(self, lead_id: int) -> dict[str, Any]:
        """Return one lead, its CV's facts under names of their own."""
        lead = self._json("GET", f"/internal/leads/{lead_id}")
        cv = lead.pop("CV")
        return {**lead, **{f"CV_{name}": value for name, value in cv.items()}}

    def change_state(self, lead_id: int, state: str, *, expected: str | None) -> None:
        """Move one lead to a state, if it is in the expected one (None: in any)."""
        body = {"status": state, **({"from": expected} if expected else {})}
        self._request("PATCH", f"/internal/leads/{lead_id}", json=body)

    @contextmanager
    def cv(self, lead_id: int) -> Iterator[Download]:
        """Give the lead's CV as it comes. Its chunks raise LeadctlError where it does not arrive as it was sent."""
        path = f"/internal/leads/{lead_id}/cv-download"
        with self._told(), self._client.stream("GET", path) as response:
            if response.status_code != 200:
                response.read()
                self._check(response)
            sha256 = _sha256(response.headers.get("repr-digest", ""))
            chunks = _verified(response.iter_bytes(), sha256)
            yield Download(_filename(response.headers.get("content-disposition", "")), sha256, chunks)

    def _request(self, method: str, path: str, **content: Any) -> httpx2.Response:
        with self._told():
            return self._check(self._client.request(method, path, **content))

    def _json(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        return self._parsed(self._request(method, path, **content))  # type: ignore[no-any-return]

    def _parsed(self, response: httpx2.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise self._not_intake() from error

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise TryAgain(f"no answer from {self._url}: {reason}. Is the server up, and the URL right?") from error

    def _check(self, response: httpx2.Response) -> httpx2.Response:
        if response.is_success:
            return response
        if not response.headers.get("content-type", "").startswith("application/problem+json"):
            raise self._not_intake(f" ({response.status_code})")
        problem = self._parsed(response)
        kind = _ERRORS.get(response.status_code, LeadctlError)
        raise kind(_told_by(problem, response.headers.get("retry-after")))

    def _not_intake(self, status: str = "") -> LeadctlError:
        return LeadctlError(f"{self._url} does not answer as an intake service{status}: is the URL right?")


def _told_by(problem: Mapping[str, Any], retry_after: str | None) -> str:
    detail = str(problem.get("detail") or problem.get("title"))
    if request_id := problem.get("request_id"):
        detail += f" (request {request_id})"
    return f"{detail} (in {retry_after} s)" if retry_after else detail


def _filename(header: str) -> str:
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename() or ""


def _sha256(header: str) -> str:
    for item in header.split(","):
        algorithm, _, value = item.strip().partition("=")
        if algorithm == "sha-256":
            return b64decode(value.strip(":")).hex()
    raise LeadctlError("the server sent no SHA-256 with the CV, so it can't be checked")


def _verified(chunks: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    seen = hashlib.sha256()
    for chunk in chunks:
        seen.update(chunk)
        yield chunk
    if seen.hexdigest() != sha256:
        raise LeadctlError("the CV did not arrive as it was sent (its SHA-256 differs); try again")
