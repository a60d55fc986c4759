"""The internal API, one method for each route."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any
from urllib.parse import quote
from uuid import UUID

from leadctl.errors import NotFound, TryAgain, UsageError
from leadctl.http import PAGE, Http, Shape, filename, matches, sha256_digest
from leadctl.settings import MAX_LIST_BYTES, is_state, is_token
from leadctl.times import is_day

MAX_TTL_S = 10**9
MAX_TEXT_CHARS = 2**20  # of a CV's text, the server's limit in bytes
MAX_ERASED_LEADS = 100_000  # of one run; they are reported together

_LEAD = {"id": int, **dict.fromkeys(("email", "f_name", "l_name", "CV_name", "state", "created_at"), str)}
_SEARCH = {"results": list, "total": int | None, "unindexed": int, "unquoted": int, "next": int | None}
_MATCH = {"field": str, "text": str, "highlights": list, "page": int | None}
_MAIL = {"id": int, "lead_id": int, "attempts": int, **dict.fromkeys(("kind", "recipient", "state"), str)}
_CHANGE = {"id": str, "at": str, "user": str, "count": int, "to": str | None, "undoes": str | None, "undone_by": list}
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_EVENT = {**dict.fromkeys(("at", "user", "to"), str), **dict.fromkeys(("from", "change", "undoes"), str | None)}
_ENTRY = {"id": int, "at": str, "action": str}
_ERASURE = {"leads": list, **dict.fromkeys(("cvs", "mails", "mails_sent", "objects_left"), int)}
_ERASURE |= dict.fromkeys(("in_maildir", "complete", "swept", "dry_run"), bool)
_CV = {"size": int, "sha256": str, "detected_type": str, "flags": list, "scan_state": str}
_CONSENT = dict.fromkeys(("key", "language", "given_at"), str)
_CV_TEXT = {"state": str, "reason": str | None, "text": str | None, "pages": list, "truncated": bool, "guessed": bool}
_USER = {"id": int, "username": str, "role": str, "created_at": str}
_LISTED_USER = {**_USER, "disabled": bool}


@dataclass(frozen=True)
class Login:
    """A new token, valid for `expires_in` seconds."""

    token: str
    expires_in: int


@dataclass(frozen=True)
class Download:
    """A CV being downloaded: the sender's file name, SHA-256 and size of the whole file, and its bytes from `offset`.

    The size is None if the server does not send it. The chunks raise TryAgain if the connection breaks; the caller
    must verify the SHA-256.
    """

    name: str
    sha256: str
    size: int | None
    offset: int
    chunks: Iterator[bytes]


class Api:
    """The routes of a server. Methods raise the LeadctlError for the response's status."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def login(self, username: str, password: str) -> Login:
        return self._login("POST", "login", json={"username": username, "password": password})

    def renew(self, token: str) -> Login:
        """Return a new token for one that is still valid."""
        return self._login("POST", "renew", headers={"Authorization": f"Bearer {token}"})

    def change_password(self, old: str, new: str) -> Login:
        """Change the user's own password, which revokes all tokens, and return a new token."""
        return self._login("PUT", "password", json={"old": old, "new": new})

    def _login(self, method: str, operation: str, **content: Any) -> Login:
        response = self._http.json(method, f"/internal/auth/{operation}", **content)
        if not matches(response, {"access_token": str, "expires_in": int}):
            raise self._http.unexpected_response()
        login = Login(response["access_token"], response["expires_in"])
        if not is_token(login.token) or not 0 <= login.expires_in <= MAX_TTL_S:
            raise self._http.unexpected_response()
        return login

    def me(self) -> dict[str, Any]:
        user = self._http.json("GET", "/internal/auth/me")
        if not matches(user, _USER):
            raise self._http.unexpected_response()
        return user

    def register(self, username: str, password: str, *, role: str | None) -> None:
        body = {"username": username, "password": password, "role": role}
        self._http.request("POST", "/internal/auth/register", expected=(204,), json=body)

    def check_registration(self, username: str, *, role: str | None) -> None:
        """Raise PermissionDenied if the server would not register this user, whatever the password."""
        with suppress(UsageError):  # a server never accepts an empty password
            self.register(username, "", role=role)

    def users(self) -> Iterator[dict[str, Any]]:
        """Yield all users, oldest first, fetched page by page."""
        return self._http.pages("/internal/users", _LISTED_USER, {}, newest_first=False, limit=None)

    def update_user(self, username: str, **values: Any) -> None:
        """Set the user's `role`, `password` or `disabled` flag."""
        if not username:
            raise UsageError("the username must not be empty")
        # path normalization would remove a name that consists of dots
        name = quote(username, safe="").replace(".", "%2E")
        self._http.request("PATCH", f"/internal/users/{name}", expected=(204,), json=values)

    def leads(
        self,
        filters: Mapping[str, Any],
        *,
        newest_first: bool,
        limit: int | None,
        on_omitted: Callable[[int], None] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` matching leads, fetched page by page.

        With `on_omitted`, omit suspect leads, and call it with the number of those that match.
        """

        def read_headers(headers: Mapping[str, str]) -> None:
            text = headers.get("suspect-omitted", "")
            if on_omitted and re.fullmatch("[0-9]{1,18}", text):
                on_omitted(int(text))

        query = {**filters, "suspect": "false"} if on_omitted else filters
        shape = {**_LEAD, "fields": dict} if "fields" in filters.get("include", ()) else _LEAD
        return self._http.pages(
            "/internal/leads/", shape, query, newest_first=newest_first, limit=limit, on_first=read_headers
        )

    def clear_suspect(self, lead_id: int) -> bool:
        """Clear a suspect lead, whose mails the server then queues; return False if it was not suspect."""
        path = f"/internal/leads/{lead_id}/clear-suspect"
        response = self._http.request("POST", path, expected=(204,), repeatable=True)
        return response.headers.get("suspect-cleared") != "false"

    def search(self, filters: Mapping[str, Any], *, newest_first: bool, size: int) -> Iterator[dict[str, Any]]:
        """Yield the pages of a search, each with up to `size` results."""
        query = {**filters, "limit": size, "order": "desc" if newest_first else "asc"}
        while True:
            page = self._http.json("GET", "/internal/search", params=query, max_bytes=MAX_LIST_BYTES)
            if not matches(page, _SEARCH) or not all(map(_is_search_result, page["results"])):
                raise self._http.unexpected_response()
            yield page
            before, after = query.get("after"), page["next"]
            if after is None:
                return
            if before is not None and (after >= before if newest_first else after <= before):
                raise self._http.unexpected_response(": its pages repeat")
            query["after"] = after

    def mails(self, filters: Mapping[str, Any], *, newest_first: bool, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` matching mails, fetched page by page."""
        return self._http.pages("/internal/mail", _MAIL, filters, newest_first=newest_first, limit=limit)

    def audit(self, filters: Mapping[str, Any], *, limit: int | None) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` matching audit entries, newest first, fetched page by page."""
        return self._http.pages("/internal/audit", _ENTRY, filters, newest_first=True, limit=limit)

    def retry_mails(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Queue up to 1,000 failed mails again; return a `result` for each id.

        The results are revived, suppressed (its mailbox had a confirmation meanwhile), not_failed and missing.
        """
        response = self._http.json("POST", "/internal/mail/retry", json={"ids": list(ids)})
        return self._for_ids(ids, self._results(response))

    def stats(self, *, with_suspects: bool = True) -> dict[str, Any]:
        stats = self._http.json("GET", "/internal/stats", params={} if with_suspects else {"suspect": "false"})
        if not matches(
            stats, {"total": int, "suspect": int, "state_keys": dict, "oldest_waiting": object}
        ) or not _is_stats(stats):
            raise self._http.unexpected_response()
        return stats

    def leads_of(self, address: str, *, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` leads of an address, newest first, also suspect ones."""
        pattern = address.replace("\\", "\\\\").replace("*", "\\*")
        return self.leads({"email": pattern}, newest_first=True, limit=limit)

    def lead(self, lead_id: int) -> dict[str, Any]:
        """Return one lead, with CV details as `CV_*` members, flags as text, and answers as `fields.*` members."""
        lead = self._with_cv_fields(self._http.json("GET", f"/internal/leads/{lead_id}"))
        if lead["id"] != lead_id:
            raise self._http.unexpected_response(": it is another lead")
        return lead

    def cv_text(self, lead_id: int) -> dict[str, Any]:
        """Return the text of a CV, or the state and reason without one."""
        found = self._http.json("GET", f"/internal/leads/{lead_id}/cv-text", max_bytes=MAX_LIST_BYTES)
        if not matches(found, _CV_TEXT) or not all(isinstance(page, int) for page in found["pages"]):
            raise self._http.unexpected_response()
        if len(found["text"] or "") > MAX_TEXT_CHARS:
            raise self._http.unexpected_response(": its text is larger than 1 MiB")
        return found

    def create_lead(
        self, fields: Mapping[str, str], *, name: str, cv: IO[bytes], dry_run: bool
    ) -> tuple[dict[str, Any], bool]:
        """Create a lead, streaming its CV from `cv`; return the lead and whether it is new.

        A dry run saves nothing, and returns an empty lead if it would be new.
        """
        data = {**fields, "dry_run": "true"} if dry_run else dict(fields)
        created = 204 if dry_run else 201
        response = self._http.request(
            "POST", "/internal/leads/", expected=(200, created), data=data, files={"CV": (name, cv)}
        )
        is_new = response.status_code == created
        return {} if is_new and dry_run else self._with_cv_fields(self._http.parsed(response)), is_new

    def set_states(
        self,
        ids: Sequence[int],
        state: str,
        *,
        expected: str | None,
        change: UUID,
        dry_run: bool,
        is_repeated: bool = False,
    ) -> list[dict[str, Any]]:
        """Set the state of up to 10,000 leads in one transaction, if they are in the expected state (None: any).

        Return for each id its `result` (changed, unchanged, missing or conflict) and its present `state`; after a
        repeated request, another user may have changed the state since.
        """
        body: dict[str, Any] = {"ids": list(ids), "status": state, "change": str(change), "dry_run": dry_run}
        if expected is not None:
            body["from"] = expected
        try:
            response = self._change("/internal/leads/state", body, {"changed", "unchanged", "missing", "conflict"})
        except UsageError as error:  # the API's name of the state is a constraint of its first version
            text = re.sub("^from: ", "--from: ", re.sub("^status: ", "state: ", str(error)))
            raise UsageError(text) from error
        outcomes = self._for_ids(ids, response["results"])
        done = [one["state"] for one in outcomes if one["result"] in ("changed", "unchanged")]
        if not is_repeated and any(now != state for now in done):
            raise self._http.unexpected_response(": its results are of another state")
        return outcomes

    def undo(self, change: UUID, *, undoing: UUID, others: bool, dry_run: bool) -> Iterator[list[dict[str, Any]]]:
        """Undo a change page by page; yield each page's outcomes (undone, already_undone or moved).

        Raises Conflict if another user made the change, unless `others` is true.
        """
        after = 0
        while after is not None:
            body = {"change": str(undoing), "after": after, "others": others, "dry_run": dry_run}
            response = self._change(f"/internal/changes/{change}/undo", body, {"undone", "already_undone", "moved"})
            yield response["results"]
            before, after = after, response.get("next")
            if after is not None and not (isinstance(after, int) and after > before and response["results"]):
                raise self._http.unexpected_response(": its pages repeat")

    def changes(
        self, limit: int, *, mine: bool = False, undos: bool = True, start: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` changes, newest first: own ones, without undos, or with ids that begin with `start`."""
        query: dict[str, Any] = {"mine": mine, "undos": undos, **({} if start is None else {"id": start})}
        while limit > 0:
            params = {**query, "limit": min(limit, PAGE)}
            page, has_next = self._http.records("/internal/changes", _CHANGE, params=params)
            if not all(map(_has_uuid, chain.from_iterable((one, *one["undone_by"]) for one in page))):
                raise self._http.unexpected_response()
            yield from page
            if not has_next:
                return
            limit -= len(page)
            query["before"] = page[-1]["id"]

    def history(self, lead_id: int) -> list[dict[str, Any]]:
        """Return the state changes of a lead, oldest first."""
        return self._http.records(f"/internal/leads/{lead_id}/history", _EVENT)[0]

    def erase(self, email: str, *, dry_run: bool) -> Iterator[dict[str, Any]]:
        """Erase a person, a limited number of leads in each request; yield the result of each request."""
        erased, is_complete = 0, False
        while not is_complete:
            try:
                response = self._erase(email, dry_run=dry_run)
            except NotFound:
                if erased:  # somebody else erased the rest
                    return
                raise
            if not (response["leads"] or erased) and (dry_run or response["complete"]):  # no leads are a 404
                raise self._http.unexpected_response(": it erased nothing")
            leads = [{"id": one["id"], "state": one["state"]} for one in response["leads"]]
            yield {**{name: response[name] for name in _ERASURE}, "leads": leads}  # callers keep them
            erased, is_complete = erased + len(leads), dry_run or response["complete"]
            if not (is_complete or response["leads"]):
                raise TryAgain("the server can't erase the remaining leads now")
            if not is_complete and erased > MAX_ERASED_LEADS:
                raise TryAgain("leads remain; run it again to erase the rest")

    def _erase(self, email: str, *, dry_run: bool) -> dict[str, Any]:
        body = {"email": email, "dry_run": dry_run}
        response = self._http.json("POST", "/internal/persons/erase", json=body, max_bytes=MAX_LIST_BYTES)
        if not matches(response, _ERASURE) or not _all_match(response["leads"], {"id": int, "state": str}):
            raise self._http.unexpected_response()
        if response["dry_run"] is not dry_run:
            raise self._http.unexpected_response(": it erased" if dry_run else ": it erased nothing")
        return response

    @contextmanager
    def export_person(self, email: str) -> Iterator[Iterator[bytes]]:
        """Stream a zip of all data stored about a person; the caller must verify that it is complete."""
        with self._http.stream("/internal/persons/export", method="POST", json={"email": email}) as response:
            yield self._http.iter_chunks(response)

    def _results(self, response: Any) -> list[dict[str, Any]]:
        if not matches(response, {"results": list}) or not _all_match(response["results"], {"id": int, "result": str}):
            raise self._http.unexpected_response()
        return list(response["results"])

    def _for_ids(self, ids: Sequence[int], outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the outcomes if there is one for each id."""
        if sorted(one["id"] for one in outcomes) != sorted(ids):
            raise self._http.unexpected_response(": its results are for others")
        return outcomes

    def _change(self, path: str, body: Mapping[str, Any], known: Collection[str]) -> Any:
        """Change leads, which is repeatable because the body has the change's id; return the response."""
        response = self._http.json("POST", path, json=body, repeatable=True, max_bytes=MAX_LIST_BYTES)
        for one in self._results(response):
            has_state = one["result"] == "missing" or isinstance(one.get("state"), str)
            if one["result"] not in known or not has_state:
                raise self._http.unexpected_response()
        return response

    @contextmanager
    def download_cv(
        self, lead_id: int, *, offset: int = 0, sha256: str = "", quarantined: bool = False
    ) -> Iterator[Download]:
        """Stream the lead's CV, from `offset` if it has this SHA-256 and the server supports ranges.

        `quarantined` allows a CV that is quarantined or was not scanned.
        """
        headers = {"Range": f"bytes={offset}-", "If-Range": f'"{sha256}"'} if offset else {}
        path = f"/internal/leads/{lead_id}/cv-download{'?force=true' if quarantined else ''}"
        with self._http.stream(path, expected=(200, 206, 416) if offset else (200,), headers=headers) as response:
            if response.status_code == 416:
                with self.download_cv(lead_id, quarantined=quarantined) as whole:
                    yield whole
                return
            start, size = self._http.content_range(response)
            yield Download(filename(response), sha256_digest(response), size, start, self._http.iter_chunks(response))

    def _with_cv_fields(self, lead: Any) -> dict[str, Any]:
        if not matches(lead, _LEAD) or not matches(cv := lead.pop("CV", None), _CV):
            raise self._http.unexpected_response()
        cv["flags"] = ",".join(map(str, cv["flags"]))
        fields, consents = lead.pop("fields", {}), lead.pop("consents", [])
        if not isinstance(fields, dict) or not isinstance(consents, list) or not _all_match(consents, _CONSENT):
            raise self._http.unexpected_response()
        own = {name: lead.pop(name) for name in _LEAD}
        checked = own | {f"CV_{name}": value for name, value in cv.items()} | own
        given = {f"consents.{one['key']}": _describe_consent(one) for one in consents}
        # further members come later, but replace none that was checked
        return {**checked, **lead, **checked, **flatten_fields(fields), **given}


def flatten_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the firm's own fields as members `fields.KEY`."""
    return {f"fields.{key}": value for key, value in fields.items()}


def _describe_consent(consent: Mapping[str, Any]) -> str:
    version = f", version {consent['version']}" if consent.get("version") else ""
    return f"{consent['given_at']}, {consent['language']}{version}"


def _all_match(values: Sequence[Any], shape: Shape) -> bool:
    return all(matches(value, shape) for value in values)


def _is_search_result(result: Any) -> bool:
    return matches(result, {**_LEAD, "matches": list, "suspect": str | None}) and all(
        matches(match, _MATCH) and all(map(_is_range, match["highlights"])) for match in result["matches"]
    )


def _has_uuid(value: Any) -> bool:
    return matches(value, {"id": str}) and re.fullmatch(_UUID, value["id"]) is not None


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(number, int) for number in value)


def _is_stats(stats: Mapping[str, Any]) -> bool:
    counts = [stats.get(name) for name in ("states", "days", "mails")]
    numbers = [number for members in counts if isinstance(members, dict) for number in members.values()]
    oldest = stats.get("oldest_waiting")
    return (
        all(isinstance(members, dict) and members for members in counts)
        and all(isinstance(number, int) and 0 <= number < 2**63 for number in (stats["total"], *numbers))
        and all(map(is_state, stats["states"]))
        and all(map(is_day, stats["days"]))
        and matches(stats["mails"], {"queued": int, "failed": int})
        and all(isinstance(key, str) and re.fullmatch("[a-z0-9]", key) for key in stats["state_keys"].values())
        and (oldest is None or matches(oldest, {"id": int, "created_at": str}))
    )
