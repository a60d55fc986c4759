"""Slow clients: senders and readers of a byte per second, and uploads that stop half way."""

import asyncio
import socket
from contextlib import suppress

from stress.load.wire import (
    CLOSED,
    HELD,
    NO_ANSWER,
    Address,
    AttackPlan,
    AttackResult,
    connect,
    form,
    get,
    post,
    source,
    status,
    until_time_is_up,
)

PAUSE_S = 1.0
HALF_BYTES = 2**20
RECEIVE_BYTES = 4096
ADDRESSES = 50  # more than the limits per client would stop


async def senders(plan: AttackPlan) -> AttackResult:
    """Send headers or a body at one byte per second; reconnect when disconnected."""
    whole = post("/leads/", form("slow@example.com", cv=b"%PDF-" + b"x" * 100_000))
    begun = whole.index(b"\r\n\r\n") + 4
    result = AttackResult()

    async def drip(number: int) -> None:
        at_once = begun if number % 2 else 1
        while True:
            result.answers[await _send_slowly(plan.public, _source(number), whole, at_once, result)] += 1
            await asyncio.sleep(PAUSE_S)

    result.seconds = await until_time_is_up(plan, plan.size.slow_clients, drip)
    return result


async def readers(plan: AttackPlan) -> AttackResult:
    """Request the whole list or a large CV and read one byte per second."""
    requests = [
        get("/internal/leads/", plan.token),
        get(f"/internal/leads/{plan.cv_lead}/cv-download", plan.token),
    ]
    result = AttackResult()

    async def sip(number: int) -> None:
        while True:
            result.answers[await _read_slowly(plan.internal, _source(number), requests[number % 2], result)] += 1
            await asyncio.sleep(PAUSE_S)

    result.seconds = await until_time_is_up(plan, plan.size.slow_clients, sip)
    return result


async def half_uploads(plan: AttackPlan) -> AttackResult:
    """Send half of a form and stop; reconnect when disconnected."""
    whole = post("/leads/", form("half@example.com", cv=b"%PDF-" + b"x" * 2 * HALF_BYTES))
    result = AttackResult()

    async def stop_half_way(number: int) -> None:
        while True:
            result.answers[await _send_half(plan.public, _source(number), whole[:HALF_BYTES], result)] += 1
            await asyncio.sleep(PAUSE_S)

    result.seconds = await until_time_is_up(plan, plan.size.half_uploads, stop_half_way)
    return result


def _source(number: int) -> str:
    return source(number, of=ADDRESSES)


async def _send_slowly(to: Address, by: str, whole: bytes, at_once: int, result: AttackResult) -> str:
    with suppress(OSError):
        reader, writer = await connect(to, by)
        try:
            writer.write(whole[:at_once])
            for at in range(at_once, len(whole)):
                with suppress(TimeoutError):
                    async with asyncio.timeout(PAUSE_S):  # wait_for() can lose a cancellation before Python 3.12
                        return _kind(await reader.read(RECEIVE_BYTES))
                writer.write(whole[at : at + 1])
        except asyncio.CancelledError:
            result.answers[HELD] += 1
            raise
        finally:
            writer.transport.abort()
    return CLOSED


async def _send_half(to: Address, by: str, half: bytes, result: AttackResult) -> str:
    with suppress(OSError):
        reader, writer = await connect(to, by)
        try:
            writer.write(half)
            return _kind(await reader.read(RECEIVE_BYTES))
        except asyncio.CancelledError:
            result.answers[HELD] += 1
            raise
        finally:
            writer.transport.abort()
    return CLOSED


async def _read_slowly(to: Address, by: str, request: bytes, result: AttackResult) -> str:
    loop = asyncio.get_running_loop()
    with suppress(OSError), socket.socket() as client:
        client.setblocking(False)
        client.bind((by, 0))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        try:
            await loop.sock_connect(client, (to.host, to.port))
            await loop.sock_sendall(client, request)
            head = await loop.sock_recv(client, 512)
            if not head.startswith(b"HTTP/1.1 200"):
                return _kind(head)
            while True:
                if not await loop.sock_recv(client, 1):
                    break
                await asyncio.sleep(PAUSE_S)
        except asyncio.CancelledError:
            result.answers[HELD] += 1
            raise
    return CLOSED


def _kind(head: bytes) -> str:
    return status(head) if head.startswith(b"HTTP/") else (CLOSED if not head else NO_ANSWER)
