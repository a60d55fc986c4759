"""What the application hands each request: its parts, built once."""

from collections.abc import Callable
from typing import TypedDict

from anyio import CapacityLimiter
from starlette.requests import Request

from intake.database import Database
from intake.metrics import Metrics
from intake.settings import Settings
from intake.users.accounts import User
from intake.users.tokens import TokenKeys


class Parts(TypedDict):
    """A request's state: the application's parts, and what its door has found out."""

    settings: Settings
    database: Database
    keys: TokenKeys
    metrics: Metrics
    openapi: bytes
    docs_page: str
    wake_worker: Callable[[], None]
    request_id: str
    threads: CapacityLimiter  # the door's own
    user: User | None


AppRequest = Request[Parts]
