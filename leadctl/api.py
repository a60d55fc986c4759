"""The internal door, one method for each route. The names on the wire are known here alone."""

import binascii
import re
from base64 import b64decode
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any
from urllib.parse import quote
from uuid import UUID

from leadctl.connections import MAX_LIST_BYTES
from leadctl.errors import LeadctlError, NotFound, UsageError
from leadctl.http import PAGE, Http, has
from leadctl.settings import is_state, is_token
from leadctl.times import is_day

MAX_TTL_S = 10**9

_LEAD = {"id": int, **dict.fromkeys(("email", "f_name", "l_name", "CV_name", "state", "created_at"), str)}
_MAIL = {"id": int, "lead_id": int, "attempts": int, **dict.fromkeys(("kind", "recipient", "state"), str)}
_OUTCOME = {"id": int, "result": str}
_CHANGE = {"id": str, "at": str, "user": str, "count": int, "undone_by": list}
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_EVENT = {**dict.fromkeys(("at", "user", "to"), str), "from": str | None}
_ENTRY = {"id": int, "at": str, "action": str}
_ERASURE = {"leads": list, **dict.fromkeys(("cvs", "mails", "mails_sent", "objects_left"), int)}
_ERASURE |= dict.fromkeys(("in_maildir", "complete", "swept"), bool)
_CV = {"size": int, "sha256": str, "detected_type": str, "flags": list, "scan_state": str}
_USER = {"id": int, "username": str, "role": str, "created_at": str}
_LISTED_USER = {**_USER, "disabled": bool}
_TOKEN = {"access_token": str, "expires_in": int}


@dataclass(frozen=True)
class Login:
    """A fresh token, good for `expires_in` seconds."""

    token: str
    expires_in: int


@dataclass(frozen=True)
class Download:
    """A CV on its way: its name as its sender wrote it, the whole's SHA-256 and size, and its bytes from `offset` on.

    The size is None where the server does not tell it. The chunks raise TryAgain where they break off; whether the
    whole is what was sent, their reader finds out.
    """

    name: str
    sha256: str
    size: int | None
    offset: int
    chunks: Iterator[bytes]


class Api:
    """A server's routes. Every method raises the LeadctlError that its answer amounts to."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def login(self, username: str, password: str) -> Login:
        """Return a token for the user."""
        body = {"username": username, "password": password}
        return self._login(self._http.json("POST", "/internal/auth/login", json=body))

    def renew(self, token: str) -> Login:
        """Return a new token for one that is still good."""
        headers = {"Authorization": f"Bearer {token}"}
        return self._login(self._http.json("POST", "/internal/auth/renew", headers=headers))

    def change_password(self, old: str, new: str) -> Login:
        """Change the user's own password, and return a token of the new one; every other ends."""
        body = {"old": old, "new": new}
        return self._login(self._http.json("PUT", "/internal/auth/password", json=body))

    def _login(self, answer: Any) -> Login:
        if not has(answer, _TOKEN) or not is_token(answer["access_token"]) or answer["expires_in"] > MAX_TTL_S:
            raise self._http.not_intake()
        return Login(answer["access_token"], answer["expires_in"])

    def me(self) -> dict[str, Any]:
        """Return the user."""
        user = self._http.json("GET", "/internal/auth/me")
        if not has(user, _USER):
            raise self._http.not_intake()
        return user

    def register(self, username: str, password: str, *, role: str | None) -> None:
        """Make a user."""
        body = {"username": username, "password": password, **({} if role is None else {"role": role})}
        self._http.request("POST", "/internal/auth/register", expected=204, json=body)

    def users(self) -> Iterator[dict[str, Any]]:
        """Yield every user, oldest first, reading them page by page."""
        return self._http.pages("/internal/users", _LISTED_USER, {}, newest_first=False, limit=None)

    def change_user(self, username: str, **values: Any) -> None:
        """Give the user a `role` or a `password`, or say whether it is `disabled`."""
        if not username:
            raise UsageError("'' is no username")
        # a name may be of dots alone, which would be gone from a path
        name = quote(username, safe="").replace(".", "%2E")
        self._http.request("PATCH", f"/internal/users/{name}", expected=204, json=values)

    def leads(self, filters: Mapping[str, Any], *, newest_first: bool, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the leads that match, at most `limit`, reading them page by page."""
        return self._http.pages("/internal/leads/", _LEAD, filters, newest_first=newest_first, limit=limit)

    def mails(self, filters: Mapping[str, Any], *, newest_first: bool, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the mails that match, likewise."""
        return self._http.pages("/internal/mail", _MAIL, filters, newest_first=newest_first, limit=limit)

    def audit(self, filters: Mapping[str, Any], *, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield the entries of the audit trail that match, at most `limit`, newest first, reading them page by page."""
        return self._http.pages("/internal/audit", _ENTRY, filters, newest_first=True, limit=limit)

    def retry_mails(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Queue up to 1,000 failed mails again; return for each id its `result` (revived, not_failed or missing)."""
        answer = self._http.json("POST", "/internal/mail/retry", json={"ids": list(ids)})
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list) or len(results) != len(ids) or not all(has(one, _OUTCOME) for one in results):
            raise self._http.not_intake()
        return results

    def stats(self) -> dict[str, Any]:
        """Return the numbers that tell where things stand."""
        stats = self._http.json("GET", "/internal/stats")
        if not has(stats, {"total": int}) or not _are_numbers(stats):
            raise self._http.not_intake()
        return stats

    def lead(self, lead_id: int) -> dict[str, Any]:
        """Return one lead, its CV's facts under names of their own, its flags with commas between."""
        return self._with_cv(self._http.json("GET", f"/internal/leads/{lead_id}"))

    def enter(
        self, fields: Mapping[str, str], *, name: str, cv: IO[bytes], dry_run: bool
    ) -> tuple[dict[str, Any], bool]:
        """Enter a lead, its CV read from `cv` as it is sent; return it, and whether it is a new one.

        A dry run saves nothing: a new lead is empty.
        """
        data = {**fields, "dry_run": "true"} if dry_run else dict(fields)
        created = 204 if dry_run else 201
        answer = self._http.request(
            "POST", "/internal/leads/", expected=(200, created), data=data, files={"CV": (name, cv)}
        )
        is_new = answer.status_code == created
        return {} if is_new and dry_run else self._with_cv(self._http.parsed(answer)), is_new

    def change_states(
        self, ids: Sequence[int], state: str, *, expected: str | None, change: UUID, dry_run: bool
    ) -> list[dict[str, Any]]:
        """Move up to 10,000 leads to a state, in one transaction, if they are in the expected one (None: in any).

        Returns for each id its `result` (changed, unchanged, missing or conflict) and the `state` that it is in now.
        """
        body: dict[str, Any] = {"ids": list(ids), "status": state, "change": str(change), "dry_run": dry_run}
        if expected is not None:
            body["from"] = expected
        answer = self._http.json("POST", "/internal/leads/state", json=body, repeatable=True, most=MAX_LIST_BYTES)
        outcomes = self._outcomes(answer, {"changed", "unchanged", "missing", "conflict"})
        if {one["id"] for one in outcomes} != set(ids):
            raise self._http.not_intake(": its results are not those of these leads")
        return outcomes

    def undo(self, change: UUID, *, undoing: UUID, others: bool, dry_run: bool) -> Iterator[list[dict[str, Any]]]:
        """Put back what a change did, page by page; yield each page's outcomes (undone, already_undone or moved).

        Raises Conflict where another user made the change, unless `others`.
        """
        after = 0
        while after is not None:
            body = {"change": str(undoing), "after": after, "others": others, "dry_run": dry_run}
            answer = self._http.json(
                "POST", f"/internal/changes/{change}/undo", json=body, repeatable=True, most=MAX_LIST_BYTES
            )
            yield self._outcomes(answer, {"undone", "already_undone", "moved"})
            before, after = after, answer.get("next")
            if after is not None and (not isinstance(after, int) or after <= before):
                raise self._http.not_intake(": its pages do not go on")

    def changes(
        self, limit: int, *, mine: bool = False, undos: bool = True, start: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the newest changes, at most `limit`: the user's own, without undos, or those whose ids start so."""
        query: dict[str, Any] = {"mine": mine, "undos": undos, **({} if start is None else {"id": start})}
        while limit > 0:
            params = {**query, "limit": min(limit, PAGE)}
            response = self._http.request("GET", "/internal/changes", expected=200, most=MAX_LIST_BYTES, params=params)
            page = self._http.records(response, _CHANGE)
            if not all(re.fullmatch(_UUID, one["id"]) for one in page):
                raise self._http.not_intake()
            yield from page
            if not page or "next" not in response.links:
                return
            limit -= len(page)
            query["before"] = page[-1]["id"]

    def history(self, lead_id: int) -> list[dict[str, Any]]:
        """Return what was changed of a lead, oldest first."""
        path = f"/internal/leads/{lead_id}/history"
        return self._http.records(self._http.request("GET", path, expected=200, most=MAX_LIST_BYTES), _EVENT)

    def erase(self, email: str, *, dry_run: bool) -> Iterator[dict[str, Any]]:
        """Erase a person, as many leads as fit in a request at a time; yield what came of each request."""
        body = {"email": email, "dry_run": dry_run}
        is_begun = is_complete = False
        while not is_complete:
            try:
                answer = self._http.json("POST", "/internal/persons/erase", json=body, most=MAX_LIST_BYTES)
            except NotFound:
                if is_begun:  # another erased the rest
                    return
                raise
            if not has(answer, _ERASURE) or not all(has(one, {"id": int, "state": str}) for one in answer["leads"]):
                raise self._http.not_intake()
            yield answer
            is_begun, is_complete = True, dry_run or answer["complete"]

    @contextmanager
    def person(self, email: str) -> Iterator[Iterator[bytes]]:
        """Give a zip of all that is kept of a person, as it comes; whether it is whole, its reader finds out."""
        path = "/internal/persons/export"
        headers = {"Accept-Encoding": "identity"}
        with self._http.stream(path, method="POST", headers=headers, json={"email": email}) as response:
            yield self._http.pieces(response)

    def _outcomes(self, answer: Any, results: Collection[str]) -> list[dict[str, Any]]:
        if not has(answer, {"change": str, "results": list}) or not all(
            has(one, _OUTCOME)
            and one["result"] in results
            and (one["result"] == "missing" or isinstance(one.get("state"), str))
            for one in answer["results"]
        ):
            raise self._http.not_intake()
        return list(answer["results"])

    @contextmanager
    def cv(self, lead_id: int, *, offset: int = 0, sha256: str = "", quarantined: bool = False) -> Iterator[Download]:
        """Give the lead's CV as it comes: from `offset` on, if it is the one of this SHA-256 and the server can.

        A CV that is quarantined, or was not scanned, is given only with `quarantined`.
        """
        going_on = {"Range": f"bytes={offset}-", "If-Range": f'"{sha256}"'} if offset else {}
        headers = {"Accept-Encoding": "identity", **going_on}  # an encoded body has other offsets
        path = f"/internal/leads/{lead_id}/cv-download{'?force=true' if quarantined else ''}"
        with self._http.stream(path, expected=(200, 206, 416) if offset else (200,), headers=headers) as response:
            if response.status_code == 416:
                with self.cv(lead_id, quarantined=quarantined) as whole:
                    yield whole
                return
            begins, size = self._extent(response.headers, is_part=response.status_code == 206)
            yield Download(
                _filename(response.headers.get("content-disposition", "")),
                _sha256(response.headers.get("repr-digest", "")),
                size,
                begins,
                self._http.pieces(response),
            )

    def _extent(self, headers: Mapping[str, str], *, is_part: bool) -> tuple[int, int | None]:
        if not is_part:
            length = headers.get("content-length", "")
            return 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
        found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})", headers.get("content-range", ""))
        if found is None:
            raise self._http.not_intake(": it sends a part of a file and does not say which")
        return int(found[1]), int(found[2])

    def _with_cv(self, lead: Any) -> dict[str, Any]:
        if not has(lead, _LEAD) or not has(cv := lead.pop("CV", None), _CV):
            raise self._http.not_intake()
        cv["flags"] = ",".join(map(str, cv["flags"]))
        return {**lead, **{f"CV_{name}": value for name, value in cv.items()}}


def _are_numbers(stats: Mapping[str, Any]) -> bool:
    counts = [stats.get(name) for name in ("states", "days", "mails")]
    numbers = [number for members in counts if isinstance(members, dict) for number in members.values()]
    oldest = stats.get("oldest_waiting")
    return (
        all(isinstance(members, dict) and members for members in counts)
        and all(isinstance(number, int) and 0 <= number < 2**63 for number in (stats["total"], *numbers))
        and all(map(is_state, stats["states"]))
        and all(map(is_day, stats["days"]))
        and has(stats["mails"], {"queued": int, "failed": int})
        and (oldest is None or has(oldest, {"id": int, "created_at": str}))
    )


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
