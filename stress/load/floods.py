"""Floods of requests: submissions from one address or many, password guesses, and logins."""

import json
from collections.abc import Callable

from stress.durability.deployment import USERNAME
from stress.load.wire import HERE, AttackPlan, AttackResult, Wire, form, paced, post, source

CLIENTS = 200
GUESSERS = 32
ADDRESSES = 200
ANONYMOUS_CLIENTS = 128


async def from_one_address(plan: AttackPlan) -> AttackResult:
    """Submit at a steady rate from one address."""
    return await _submissions(plan, source(0, of=1), lambda _number: "")


async def from_many_addresses(plan: AttackPlan) -> AttackResult:
    """Submit at the same rate, as a trusted proxy would forward it for ADDRESSES clients."""
    return await _submissions(plan, HERE, lambda number: f"X-Forwarded-For: 127.0.1.{1 + number % ADDRESSES}")


async def guesses(plan: AttackPlan) -> AttackResult:
    """Try passwords, for an existing user and for unknown users in turn."""
    result, wires = AttackResult(), [Wire(plan.internal, source(number, of=GUESSERS)) for number in range(GUESSERS)]

    async def guess(number: int) -> None:
        username = USERNAME if number % 2 else f"nobody{number}"
        body = json.dumps({"username": username, "password": f"guess number {number}"}).encode()
        request = post("/internal/auth/login", body, content_type="application/json")
        await _ask(result, wires, request)

    result.seconds = await paced(plan, plan.size.guesses / plan.size.seconds, GUESSERS, guess)
    return result


async def logins(plan: AttackPlan) -> AttackResult:
    """Try unknown usernames, each from a new /64 of one /48, as a trusted proxy would forward them."""
    result, wires = AttackResult(), [Wire(plan.internal) for _ in range(ANONYMOUS_CLIENTS)]

    async def log_in(number: int) -> None:
        body = json.dumps({"username": f"nobody{number}", "password": f"guess number {number}"}).encode()
        by = f"X-Forwarded-For: 2001:db8:1:{number:x}::1"
        await _ask(result, wires, post("/internal/auth/login", body, by, content_type="application/json"))

    result.seconds = await paced(plan, plan.size.anonymous_logins_per_s, ANONYMOUS_CLIENTS, log_in)
    return result


async def _submissions(plan: AttackPlan, by: str, header: Callable[[int], str]) -> AttackResult:
    result, wires = AttackResult(), [Wire(plan.public, by) for _ in range(CLIENTS)]

    async def submit(number: int) -> None:
        email = f"attack{number:08}@example.com"
        headers = [text for text in [header(number)] if text]
        if await _ask(result, wires, post("/leads/", form(email), *headers)) == "204":
            result.acknowledged.add(email)

    result.seconds = await paced(plan, plan.size.submissions_per_s, CLIENTS, submit)
    return result


async def _ask(result: AttackResult, wires: list[Wire], request: bytes) -> str:
    wire = wires.pop()  # one for each client
    try:
        answer = await wire.ask(request)
    finally:
        wires.append(wire)
    result.answers[answer] += 1
    return answer
