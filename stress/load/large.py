"""Bodies that are too large, and hostile forms."""

import asyncio
from contextlib import suppress
from itertools import cycle

from stress.load.wire import (
    BOUNDARY,
    CLOSED,
    FORM_TYPE,
    AttackPlan,
    AttackResult,
    Wire,
    connect,
    form,
    paced,
    post,
    source,
    status,
)

SENDERS = 8
PAUSE_S = 0.2
PIECE = b"x" * 2**16
ANSWER_WITHIN_S = 10.0
FORMS_PER_S = 20.0
MIB = 2**20
HOSTILE = "hostile@example.com"
_END = f"\r\n--{BOUNDARY}--\r\n".encode()


async def bodies(plan: AttackPlan) -> AttackResult:
    """Send bodies of 200 MB, half of them with a Content-Length and half chunked."""
    result = AttackResult()
    until = asyncio.get_running_loop().time() + plan.seconds

    async def send(number: int) -> None:
        while asyncio.get_running_loop().time() < until:
            result.answers[await _send_large(plan, source(number, of=SENDERS), is_chunked=bool(number % 2))] += 1
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for number in range(SENDERS):
            group.create_task(send(number))
    result.seconds = plan.seconds
    return result


async def forms(plan: AttackPlan) -> AttackResult:
    """Send one hostile form after another."""
    result, turns = AttackResult(), cycle(hostile(plan.size.parts))

    async def send(number: int) -> None:
        wire = Wire(plan.public, source(number, of=SENDERS))
        answer = await wire.ask(next(turns))
        result.answers[answer] += 1
        if answer == "204":  # some hostile forms are valid
            result.acknowledged.add(HOSTILE)
        wire.close()

    result.seconds = await paced(plan, FORMS_PER_S, SENDERS, send)
    return result


def hostile(parts: int) -> list[bytes]:
    """Return requests with forms that no ordinary client sends."""
    many = b"".join(b"--attack\r\nContent-Disposition: form-data; name=p%d\r\n\r\nx\r\n" % n for n in range(parts))
    fields = [f"X-Header-{n}: {n}" for n in range(10_000)]
    whole = form(HOSTILE)
    nested = f"multipart/mixed; boundary={BOUNDARY}"
    bodies = [
        many + _END,
        many.replace(b"name=p", b'name="CV"; filename=p') + _END,
        _part(f'name="{"n" * MIB}"') + _END,
        _part('name="email"', *[f"X-Part-{n}: {n}" for n in range(50_000)]) + _END,
        _part('name="email"', *["a:"] * MIB) + _END,
        _part('name="CV"; filename="x"', f"Content-Type: {nested}") + whole + _END,
        _part('name="email"', f"Content-Type: {nested}") * 1000 + _END,
        _part('name="CV"; ' + "; ".join(f"filename*{n}=x" for n in range(50_000))) + _END,
        _part("name=\"CV\"; filename*=utf-8''" + "%F0%9F" * 100_000) + _END,
        _part("name=" + '\\"' * 500_000) + _END,
        b"--attack\r\n" * 100_000,
        b"--attack" * 100_000,
        b"\r\n--attac" * 500_000 + _END,
        b"--attack\r\n\r\n" + b"\x00" * MIB + _END,
        b"--attack\r\nContent-Disposition: form-data; name=\x00\xff\r\n\r\nx" + _END,
        whole[:-9],
        whole.replace(b"\r\n", b"\n"),
        whole.replace(b"attack", b"other!"),
        whole.replace(b"Ada", b"Ada\r\nBcc: everyone@example.com"),
        b"",
    ]
    return [
        *(post("/leads/", body) for body in bodies),
        post("/leads/", whole, *fields),
        post("/leads/", whole, "X-Large: " + "x" * MIB),
        post("/leads/", whole, content_type="multipart/form-data; boundary=" + "b" * MIB),
        post("/leads/", whole, content_type="multipart/form-data; " * 3000),
        post("/leads/", whole, "Transfer-Encoding: chunked"),
        post("/leads/", b"{" * MIB, content_type="application/json"),
        post("/leads/", whole, "Idempotency-Key: " + "k" * 60_000),
    ]


def _part(disposition: str, *headers: str) -> bytes:
    lines = [f"--{BOUNDARY}", f"Content-Disposition: form-data; {disposition}", *headers, "", "x", ""]
    return "\r\n".join(lines).encode()


async def _send_large(plan: AttackPlan, by: str, *, is_chunked: bool) -> str:
    head = post("/leads/", b"", declared=plan.size.large_body_bytes)
    piece = PIECE
    if is_chunked:
        head = f"POST /leads/ HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM_TYPE}\r\n".encode()
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)
    with suppress(OSError):
        reader, writer = await connect(plan.public, by)
        try:
            return await _pour(reader, writer, _in_pieces(head, piece, plan.size.large_body_bytes))
        finally:
            writer.transport.abort()
    return CLOSED


def _in_pieces(head: bytes, piece: bytes, total: int) -> list[bytes]:
    opening = _part('name="CV"; filename="cv.pdf"')
    first = b"%x\r\n%b\r\n" % (len(opening), opening) if len(piece) > len(PIECE) else opening
    return [head + first, *[piece] * (total // len(PIECE))]


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pieces: list[bytes]) -> str:
    answer = asyncio.create_task(reader.read(4096))
    with suppress(ConnectionError):
        for piece in pieces:
            if answer.done():
                break
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_WITHIN_S):
            head = await answer
        return status(head) if head.startswith(b"HTTP/") else CLOSED
    return CLOSED
