"""Access log middleware: requests cancelled by a stop."""

import asyncio
import json

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intake.http.access_log import AccessLogMiddleware
from intake.http.client_address import ForwardingMonitor
from intake.metrics import Metrics

SCOPE: Scope = {"type": "http", "method": "POST", "path": "/leads/", "headers": [], "client": ("192.0.2.1", 5000)}


async def cancelled(app: ASGIApp, sent: list[Message]) -> None:
    """Run a request, and cancel it as the server does at the end of the grace period."""

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    observer = AccessLogMiddleware(app, Metrics(), (), ForwardingMonitor())
    task = asyncio.create_task(observer({**SCOPE}, receive, send))
    await asyncio.sleep(0.01)
    task.cancel()
    await task


def test_a_request_cancelled_by_a_stop_is_503() -> None:
    async def waiting(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(60)

    sent: list[Message] = []
    asyncio.run(cancelled(waiting, sent))
    assert sent[0]["status"] == 503
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    assert int(headers["retry-after"]) > 0
    assert headers["x-request-id"]
    assert (headers["content-type"], headers["connection"]) == ("application/problem+json", "close")
    assert "is stopping" in json.loads(sent[1]["body"])["detail"]


def test_a_started_response_is_not_followed_by_another() -> None:
    async def begun(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    sent: list[Message] = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled(begun, sent))
    assert [message["type"] for message in sent] == ["http.response.start"]
