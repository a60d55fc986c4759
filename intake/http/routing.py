"""APIs as tables of operations, which need a token by default; each API has its own threads."""

import asyncio
import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import Any, TypeVar, cast

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from intake.audit import Actor
from intake.errors import AuthenticationRequired, FieldError, IntakeError, PermissionDenied, ValidationError
from intake.http.hashing_queue import HashingQueue, Turn, ahead, behind
from intake.http.rate_limit import check_rate_limit
from intake.http.request_parsing import read_json, read_query
from intake.http.request_state import AppRequest
from intake.http.thread_pool import BoundedThreadPool, result_of
from intake.http.upload_limits import UploadLimiter
from intake.users.accounts import User, authenticate, check_active

HASHING_THREADS = 2  # at most; and at most half of the processors, so that floods of logins leave some to users

T = TypeVar("T")


class Access(Enum):
    """Access levels of operations."""

    OPEN = auto()  # anyone
    OPTIONAL = auto()  # anyone, but a given token must be valid
    BEARER = auto()  # any user
    ADMIN = auto()  # an administrator


@dataclass(frozen=True)
class ResponseSpec:
    """Documentation of a successful response: its schema, and its media types if it is not JSON."""

    status: int
    description: str
    schema: Any = None
    media_types: Sequence[str] = ("application/json",)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method on one path: its endpoint, access, input and responses.

    `endpoint` is called with the request, and with the body or the query if that has a model. A plain function runs in
    one of the API's threads; one that hashes passwords must be a coroutine that calls `in_hashing_thread`. The first
    line of its docstring describes the operation in the OpenAPI document.
    """

    path: str
    endpoint: Callable[..., Any]
    response: ResponseSpec
    method: str = "GET"
    access: Access = Access.BEARER
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    form: Mapping[str, Any] | None = None
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: Sequence[type[IntakeError]] = ()
    also: Sequence[ResponseSpec] = ()  # other successful responses
    is_rate_limited: bool = False  # by client, before the body is read

    @property
    def summary(self) -> str:
        """The first line of the endpoint's docstring."""
        return (self.endpoint.__doc__ or "").partition("\n")[0]

    @cached_property
    def is_plain(self) -> bool:
        """True if one thread can run all of it, because no body is read."""
        return self.body is None and not inspect.iscoroutinefunction(self.endpoint)


def open_get(
    path: str,
    endpoint: Callable[..., Any],
    description: str,
    schema: Mapping[str, Any],
    *media_types: str,
    problems: Sequence[type[IntakeError]] = (),
) -> Operation:
    """Return a GET operation for anyone, with one response, of JSON unless it has other media types."""
    response = ResponseSpec(200, description, schema, media_types=media_types or ("application/json",))
    return Operation(path=path, endpoint=endpoint, access=Access.OPEN, response=response, problems=problems)


def api_routes(operations: Sequence[Operation], *, pool: BoundedThreadPool, uploads: UploadLimiter) -> list[Route]:
    """Return the routes of an API with its threads, up to HASHING_THREADS more, and upload slots.

    Each path has routes with and without a trailing slash. Fixed paths are first: the Allow header is that of the first
    match without the method.
    """
    hashing = HashingQueue(min(HASHING_THREADS, max(1, (os.cpu_count() or 1) // 2)))
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [
        Route(spelling, Dispatcher(methods, pool, hashing, uploads), methods=list(methods))
        for path, methods in sorted(paths.items(), key=lambda item: "{" in item[0])
        for spelling in {path, path.rstrip("/") or "/", path.rstrip("/") + "/"}
    ]


class RouteTable:
    """The routes of a process: fixed paths are found by name, others by Starlette's patterns."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._fixed = {route.path: route for route in routes if "{" not in route.path}

    def find(self, scope: Scope) -> "Dispatcher":
        """Return what responds to a request. Raises HTTPException with 404, or 405 and the methods of the path."""
        route = self._fixed.get(scope["path"])
        if route is None or scope["method"] not in _methods(route):
            route = self._matching(scope)
        return cast("Dispatcher", route.endpoint)

    def _matching(self, scope: Scope) -> Route:
        other = None
        for route in self._routes:
            match, details = route.matches(scope)
            if match is Match.FULL:
                scope.update(details)
                return route
            if match is Match.PARTIAL:
                other = other or route
        if other is None:
            raise HTTPException(404)
        raise HTTPException(405, headers={"Allow": ", ".join(_methods(other))})


def _methods(route: Route) -> Collection[str]:
    return route.methods or ()


@dataclass(frozen=True)
class Dispatcher:
    """Authenticates a request to one path, reads its body or query, and runs the method's operation."""

    methods: Mapping[str, Operation]
    threads: BoundedThreadPool
    hashing: HashingQueue
    uploads: UploadLimiter

    async def __call__(self, request: AppRequest) -> Response:
        """Return the response of the operation."""
        operation = self.methods["GET" if request.method == "HEAD" else request.method]
        request.scope["route_path"] = operation.path
        _check_target(request, operation)
        state = request.state
        state["hashing_queue"], state["thread_pool"], state["user"] = self.hashing, self.threads, None
        token = _required_token(request, operation.access)
        if operation.is_plain:
            return await run_in_pool(request, lambda: _call(request, operation, token))
        return await self._call_with_body(request, operation, token)

    async def _call_with_body(self, request: AppRequest, operation: Operation, token: str | None) -> Response:
        """Authenticate and reserve an upload slot before the body is read."""
        if token is not None:
            await run_in_pool(request, lambda: _authenticate(request, operation, token))
        with nullcontext() if operation.form is None else self.uploads.acquire(request):
            if operation.is_rate_limited:  # after the slot: a request without one is not counted
                await check_rate_limit(request)
            arguments: list[object] = [request]
            if operation.body is not None:
                arguments.append(await read_json(request, operation.body))
            if inspect.iscoroutinefunction(operation.endpoint):
                response = await operation.endpoint(*arguments)
            else:
                response = await run_in_pool(request, while_active(request, lambda: operation.endpoint(*arguments)))
            return cast("Response", response)


def _call(request: AppRequest, operation: Operation, token: str | None) -> Response:
    if token is not None:
        _authenticate(request, operation, token)
    if operation.query is None:
        return cast("Response", operation.endpoint(request))
    return cast("Response", operation.endpoint(request, read_query(request.query_params, operation.query)))


def _authenticate(request: AppRequest, operation: Operation, token: str) -> None:
    user = authenticate(request.state["database"], request.state["token_signer"], token=token)
    if operation.access is Access.ADMIN and not user.is_admin:
        raise PermissionDenied("this is for administrators only")
    request.state["user"] = user


def while_active(request: AppRequest, work: Callable[[], T]) -> Callable[[], T]:
    """Return `work` after another check of the user, for requests whose body took a while to arrive."""

    def checked() -> T:
        if (user := request.state["user"]) is not None:
            check_active(request.state["database"], user)
        return work()

    return checked


async def run_in_pool(request: AppRequest, work: Callable[[], T], *, is_continuation: bool = False) -> T:
    """Run `work` in one of the API's threads and return its result; see `BoundedThreadPool.run`."""
    return await request.state["thread_pool"].run(work, is_continuation=is_continuation)


async def in_hashing_thread(request: AppRequest, work: Callable[[], T], turn: Turn) -> T:
    """Run `work` in one of the API's hashing threads and return its result. The request's body must have been read.

    Raises TooManyPendingLogins, ServiceBusy if it is not started in time, an error of `check_active`, or
    ClientDisconnect: a client that disconnects leaves the queue at once.
    """
    future = request.state["hashing_queue"].join(while_active(request, work), turn)
    is_cancelled = False

    async def cancel_on_disconnect() -> None:
        nonlocal is_cancelled
        while (await request.receive())["type"] != "http.disconnect":
            pass
        is_cancelled = future.cancel()  # fails if it is running

    watcher = asyncio.create_task(cancel_on_disconnect())
    try:
        return await result_of(future)
    except asyncio.CancelledError:
        if is_cancelled:
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()


def turn_of(request: AppRequest) -> Turn:
    """Return the turn of a user with a token, or of an anonymous client."""
    user = request.state["user"]
    return behind(request.state["client"].network) if user is None else ahead(f"user:{user.id}")


def require_user(request: AppRequest) -> User:
    """Return the authenticated user. Raises PermissionDenied if there is none."""
    user = request.state["user"]
    if user is None:
        raise PermissionDenied("this is for users only")
    return user


def actor_of(request: AppRequest) -> Actor:
    """Return the user, client and request for the audit trail."""
    user, client = request.state["user"], request.state["client"]
    return Actor(
        user_id=user.id if user else None,
        client=str(client.address) if client.address else None,
        request_id=request.state["request_id"],
    )


def _check_target(request: AppRequest, operation: Operation) -> None:
    """Refuse an encoded slash in the path, and query parameters of a route that has none, unless it is open."""
    if b"%2f" in request.scope.get("raw_path", b"").partition(b"?")[0].lower():
        raise HTTPException(404)
    if operation.query is None and operation.access is not Access.OPEN and request.query_params:
        raise ValidationError(
            *(FieldError(name, "unknown parameter; leave it out", "unknown") for name in request.query_params)
        )


def _required_token(request: AppRequest, access: Access) -> str | None:
    """Return the request's token, or None if it needs none. Raises AuthenticationRequired."""
    if access is Access.OPEN:
        return None
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    is_given = scheme.lower() == "bearer"
    if access is Access.OPTIONAL and not is_given:
        return None
    if not is_given:
        raise AuthenticationRequired("a bearer token is required; log in first")
    return token.strip()
