"""Many requests: submissions from one address or from many, and guesses at passwords."""

import json
from collections.abc import Callable

from stress.durability.deployment import USERNAME
from stress.load.wire import HERE, Aim, Spoils, Wire, form, paced, post, source

CLIENTS = 200
GUESSERS = 32
ADDRESSES = 200
STRANGERS = 128


async def from_one_address(aim: Aim) -> Spoils:
    """Submit at a steady rate."""
    return await _submissions(aim, source(0, of=1), lambda _number: "")


async def from_many_addresses(aim: Aim) -> Spoils:
    """Submit at the same rate, as a proxy that is trusted would pass it on for so many clients."""
    return await _submissions(aim, HERE, lambda number: f"X-Forwarded-For: 127.0.1.{1 + number % ADDRESSES}")


async def guesses(aim: Aim) -> Spoils:
    """Try passwords, for a user who is there and for others in turn."""
    spoils, wires = Spoils(), [Wire(aim.internal, source(number, of=GUESSERS)) for number in range(GUESSERS)]

    async def guess(number: int) -> None:
        username = USERNAME if number % 2 else f"nobody{number}"
        body = json.dumps({"username": username, "password": f"guess number {number}"}).encode()
        request = post("/internal/auth/login", body, content_type="application/json")
        await _ask(spoils, wires, request)

    spoils.seconds = await paced(aim, aim.size.guesses / aim.size.seconds, GUESSERS, guess)
    return spoils


async def logins(aim: Aim) -> Spoils:
    """Try names that are nobody's, each from a new /64 of one /48, as a trusted proxy would pass it on."""
    spoils, wires = Spoils(), [Wire(aim.internal) for _ in range(STRANGERS)]

    async def log_in(number: int) -> None:
        body = json.dumps({"username": f"nobody{number}", "password": f"guess number {number}"}).encode()
        by = f"X-Forwarded-For: 2001:db8:1:{number:x}::1"
        await _ask(spoils, wires, post("/internal/auth/login", body, by, content_type="application/json"))

    spoils.seconds = await paced(aim, aim.size.strangers_logins_per_s, STRANGERS, log_in)
    return spoils


async def _submissions(aim: Aim, by: str, header: Callable[[int], str]) -> Spoils:
    spoils, wires = Spoils(), [Wire(aim.public, by) for _ in range(CLIENTS)]

    async def submit(number: int) -> None:
        email = f"attack{number:08}@example.com"
        headers = [text for text in [header(number)] if text]
        if await _ask(spoils, wires, post("/leads/", form(email), *headers)) == "204":
            spoils.acknowledged.add(email)

    spoils.seconds = await paced(aim, aim.size.submissions_per_s, CLIENTS, submit)
    return spoils


async def _ask(spoils: Spoils, wires: list[Wire], request: bytes) -> str:
    wire = wires.pop()  # there is one for each client
    try:
        answer = await wire.ask(request)
    finally:
        wires.append(wire)
    spoils.answers[answer] += 1
    return answer
