"""Doors: tables of operations, closed unless they say otherwise, each door with threads of its own."""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from typing import Any, TypeVar, cast

from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from intake.audit import Actor
from intake.errors import AuthenticationRequired, FieldError, IntakeError, PermissionDenied, ValidationError
from intake.http.hashing_queue import HashingQueue, Turn, ahead, behind
from intake.http.rate_limit import check_rate_limit
from intake.http.request_parsing import read_json
from intake.http.request_state import AppRequest
from intake.http.thread_pool import BoundedThreadPool, result_of
from intake.http.upload_limits import UploadLimiter
from intake.users.accounts import User, authenticate, check_active

HASHING_THREADS = 2  # at most, and one for each two processors: a flood of logins leaves the rest to those who are in

T = TypeVar("T")


class Access(Enum):
    """Who may call an operation."""

    OPEN = auto()  # anyone
    ADAPTIVE = auto()  # anyone, but who brings a token must bring a good one
    BEARER = auto()  # any user
    ADMIN = auto()  # an administrator


@dataclass(frozen=True)
class ResponseSpec:
    """A successful answer, as it is documented: its schema, or the media type of what is no JSON."""

    status: int
    description: str
    schema: Any = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method on one path: what runs it, who may call it, what it takes and what it may answer.

    `endpoint` takes the request, and the body where there is a model of one. A plain function runs in one of its
    door's threads; what hashes passwords, a quarter of a second's work, waits for one of the few threads for that.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    summary: str
    answer: ResponseSpec
    access: Access = Access.BEARER
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    form: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[type[IntakeError]] = ()
    also: Sequence[ResponseSpec] = ()  # other successful answers
    is_rate_limited: bool = False  # by client, before anything of the body is read

    @cached_property
    def is_plain(self) -> bool:
        """Whether one thread can do all of it: nothing of a body is read, and nothing is counted."""
        return self.body is None and not inspect.iscoroutinefunction(self.endpoint)


class Api:
    """A table of operations as routes, run in at most `threads` threads at once, and up to HASHING_THREADS more.

    Forms are read in the door's own `places`.
    """

    def __init__(self, operations: Sequence[Operation], *, threads: int, uploads: UploadLimiter) -> None:
        self._threads = BoundedThreadPool(threads)
        self._hashing = HashingQueue(min(HASHING_THREADS, max(1, (os.cpu_count() or 1) // 2)))
        self._uploads = uploads
        self._paths: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            self._paths.setdefault(operation.path, {})[operation.method] = operation

    def routes(self) -> list[Route]:
        """Return a route for each path, and for the same path with and without its last slash.

        Fixed paths come first: of those that match and lack the method, the first one says what is allowed.
        """
        return [
            Route(
                spelling,
                _Dispatcher(methods, self._threads, self._hashing, self._uploads),
                methods=list(methods),
            )
            for path, methods in sorted(self._paths.items(), key=lambda item: "{" in item[0])
            for spelling in {path, path.rstrip("/"), path.rstrip("/") + "/"}
        ]


class _Dispatcher:
    """One path: finds out who asks, reads the body, and runs the method's operation."""

    def __init__(
        self,
        methods: Mapping[str, Operation],
        threads: BoundedThreadPool,
        hashing: HashingQueue,
        uploads: UploadLimiter,
    ) -> None:
        self._methods = methods
        self._uploads = uploads
        self._threads = threads
        self._hashing = hashing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = AppRequest(scope, receive)
        operation = self._methods["GET" if request.method == "HEAD" else request.method]
        scope["route_path"] = operation.path
        _check_target(request, operation)
        request.state["hashing_queue"] = self._hashing
        request.state["thread_pool"] = self._threads
        request.state["user"] = None
        token = _needed_token(request, operation.access)
        if operation.is_plain:
            response = await run_in_pool(request, lambda: _call(request, operation, token))
        else:
            response = await self._call_with_body(request, operation, token)
        await response(scope, receive, send)

    async def _call_with_body(self, request: AppRequest, operation: Operation, token: str | None) -> Response:
        """Find out who asks, and whether there is room, before anything of the body is read."""
        if token is not None:
            await run_in_pool(request, lambda: _find_user(request, operation, token))
        with nullcontext() if operation.form is None else self._uploads.acquire(request):
            if operation.is_rate_limited:  # whoever finds no room is not counted
                await check_rate_limit(request)
            arguments: list[object] = [request]
            if operation.body is not None:
                arguments.append(await read_json(request, operation.body))
            if inspect.iscoroutinefunction(operation.endpoint):
                response = await operation.endpoint(*arguments)
            else:
                response = await run_in_pool(request, lambda: operation.endpoint(*arguments))
            return cast("Response", response)


def _call(request: AppRequest, operation: Operation, token: str | None) -> Response:
    if token is not None:
        _find_user(request, operation, token)
    return cast("Response", operation.endpoint(request))


def _find_user(request: AppRequest, operation: Operation, token: str) -> None:
    user = authenticate(request.state["database"], request.state["token_signer"], token=token)
    if operation.access is Access.ADMIN and not user.is_admin:
        raise PermissionDenied("this is for administrators only")
    request.state["user"] = user


async def run_in_pool(request: AppRequest, work: Callable[[], T], *, is_under_way: bool = False) -> T:
    """Return what `work` returns, run in one of the request's door's threads.

    Raises ServiceBusy where none is free in time; what `is_under_way`, and would be lost, waits longer.
    """
    return await request.state["thread_pool"].run(work, is_under_way=is_under_way)


async def in_hashing_thread(request: AppRequest, work: Callable[[], T], turn: Turn) -> T:
    """Return what `work` returns, run in one of the door's threads for hashing, once the request's body is read.

    Raises TooManyLogins, ServiceBusy where it is not begun in time, or ClientDisconnect: the place of a client that
    goes away is free at once.
    """
    given = request.state["hashing_queue"].join(work, turn)
    is_gone = False

    async def leave_when_gone() -> None:
        nonlocal is_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        is_gone = given.cancel()  # which fails once it has begun

    watching = asyncio.create_task(leave_when_gone())
    try:
        return await result_of(given)
    except asyncio.CancelledError:
        if is_gone:
            raise ClientDisconnect from None
        raise
    finally:
        watching.cancel()


def turn_of(request: AppRequest) -> Turn:
    """Return the turn of whoever has a token, or of everyone else."""
    user = request.state["user"]
    return behind(request.state["client"].network) if user is None else ahead(f"user:{user.id}")


async def stream_in_pool(request: AppRequest, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks, each made in one of the request's door's threads, for as long as the user may log in."""

    def next_chunk() -> bytes | None:
        check_active(request.state["database"], require_user(request))
        return next(chunks, None)

    while (chunk := await run_in_pool(request, next_chunk, is_under_way=True)) is not None:
        yield chunk


def require_user(request: AppRequest) -> User:
    """Return the user that a closed operation is called by. Raises NotAllowed where the operation is an open one."""
    user = request.state["user"]
    if user is None:
        raise PermissionDenied("this is for users only")
    return user


def actor_of(request: AppRequest) -> Actor:
    """Return whom and what the audit trail names for what a request does."""
    user, client = request.state["user"], request.state["client"]
    return Actor(
        user_id=user.id if user else None,
        client=str(client.address) if client.address else None,
        request_id=request.state["request_id"],
    )


def _check_target(request: AppRequest, operation: Operation) -> None:
    """Refuse what would be passed over: a slash that is part of a name, a parameter that a closed operation lacks."""
    if b"%2f" in request.scope.get("raw_path", b"").partition(b"?")[0].lower():
        raise HTTPException(404)
    if operation.query is None and operation.access is not Access.OPEN and request.query_params:
        raise ValidationError(*(FieldError(name, "is no parameter of this route") for name in request.query_params))


def _needed_token(request: AppRequest, access: Access) -> str | None:
    """Return the request's token, and None where nobody need be known. Raises NotAuthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    is_given = scheme.lower() == "bearer"
    if access is Access.OPEN or (access is Access.ADAPTIVE and not is_given):
        return None
    if not is_given:
        raise AuthenticationRequired("a bearer token is needed: log in first")
    return token.strip()
