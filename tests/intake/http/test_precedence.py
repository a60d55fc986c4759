"""Who goes first in one event loop."""

import asyncio
from collections.abc import Callable, Coroutine

from starlette.types import Message, Receive, Scope, Send

from intake.http.precedence import MOST_S, Precedence

STRANGERS, UPLOADS, ATTORNEYS = "/leads/", "/leads", "/internal/leads/"


class Service:
    """Notes each request as it begins; attorneys' are answered once `ready` is set, and strangers' at once."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ready = asyncio.Event()
        self.arriving = asyncio.Event()
        self.door = Precedence(self._answer, open_to_strangers="/leads")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["path"])
        if scope["path"] == UPLOADS:
            await self.arriving.wait()
            await receive()
            self.begun.append("body")
        if scope["path"] == ATTORNEYS:
            await self.ready.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == ATTORNEYS:
            await asyncio.sleep(3600)  # a slow reader

    def ask(self, path: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._ask(path))

    async def _ask(self, path: str) -> None:
        receive = _receive_body if path == UPLOADS else _receive
        await self.door({"type": "http", "path": path}, receive, _send)


async def _receive() -> Message:
    raise AssertionError("nothing is read")


async def _receive_body() -> Message:
    return {"type": "http.request"}


async def _send(_message: Message) -> None:
    pass


def run(story: Callable[[Service], Coroutine[None, None, None]]) -> Service:
    async def told() -> Service:
        service = Service()
        async with asyncio.timeout(30):
            await story(service)
        return service

    return asyncio.run(told())


def test_a_stranger_who_comes_alone_does_not_wait() -> None:
    async def story(service: Service) -> None:
        service.ask(STRANGERS)
        await asyncio.sleep(0)
        assert service.begun == [STRANGERS]

    run(story)


def test_an_attorney_is_heard_before_the_rest_of_a_flood() -> None:
    async def story(service: Service) -> None:
        for _ in range(100):
            service.ask(STRANGERS)
        await asyncio.sleep(0)
        service.ask(ATTORNEYS)
        while ATTORNEYS not in service.begun:  # noqa: ASYNC110 - turns of the loop are what is counted
            await asyncio.sleep(0)

    assert len(run(story).begun) < 10


def test_strangers_wait_while_an_attorney_does_and_no_longer() -> None:
    async def story(service: Service) -> None:
        service.ask(ATTORNEYS)
        strangers = [service.ask(STRANGERS) for _ in range(3)]
        await asyncio.sleep(MOST_S / 2)
        assert service.begun == [ATTORNEYS]
        service.ready.set()  # the answer begins, and is read for an hour
        await asyncio.gather(*strangers)

    assert run(story).begun == [ATTORNEYS, *[STRANGERS] * 3]


def test_a_stranger_who_is_in_goes_no_further_while_an_attorney_waits() -> None:
    async def story(service: Service) -> None:
        upload = service.ask(UPLOADS)
        await asyncio.sleep(0)
        service.ask(ATTORNEYS)
        service.arriving.set()
        await asyncio.sleep(MOST_S / 2)
        assert service.begun == [UPLOADS, ATTORNEYS]
        service.ready.set()
        await upload

    assert run(story).begun == [UPLOADS, ATTORNEYS, "body"]


def test_an_attorney_whose_answer_never_begins_holds_up_nobody_for_long() -> None:
    async def story(service: Service) -> None:
        service.ask(ATTORNEYS)
        began = asyncio.get_running_loop().time()
        await service.ask(STRANGERS)
        assert asyncio.get_running_loop().time() - began >= MOST_S * 0.9

    assert run(story).begun == [ATTORNEYS, STRANGERS]


def test_a_stranger_who_is_gone_is_passed_over() -> None:
    async def story(service: Service) -> None:
        service.ask(ATTORNEYS)
        gone, waiting = service.ask(STRANGERS), service.ask(STRANGERS)
        await asyncio.sleep(0.01)
        gone.cancel()
        await waiting

    assert run(story).begun == [ATTORNEYS, STRANGERS]
