"""What the application hands each request: its parts, built once."""

from typing import Protocol, TypedDict

from starlette.requests import Request

from intake.database import Database
from intake.http.client_address import Client, ForwardingMonitor
from intake.http.hashing_queue import HashingQueue
from intake.http.thread_pool import BoundedThreadPool
from intake.metrics import Metrics
from intake.rate_limits.limiter import RateLimiter
from intake.settings import Settings
from intake.users.accounts import User
from intake.users.login_throttle import LoginThrottle
from intake.users.tokens import TokenSigner


class Mailer(Protocol):
    """What the doors know of the worker."""

    @property
    def last_error(self) -> str | None:
        """What keeps every mail from being sent, if anything does."""

    @property
    def last_scan_error(self) -> str | None:
        """What keeps every CV from being scanned, if anything does."""

    @property
    def store_hold(self) -> str | None:
        """Why orphans in the CV store are not collected, if a hold is in it."""

    def wake(self) -> None:
        """Look for owed mails and scans now."""


class Description(Protocol):
    """What the service says of its routes."""

    @property
    def document(self) -> bytes:
        """Its OpenAPI document."""

    @property
    def page(self) -> str:
        """The same as a page."""


class RequestState(TypedDict):
    """A request's state: the application's parts, and what its door has found out."""

    settings: Settings
    database: Database
    keys: TokenSigner
    guesses: LoginThrottle
    metrics: Metrics
    description: Description
    worker: Mailer | None  # the one in this process, where there is one
    limiter: RateLimiter
    forwarding: ForwardingMonitor
    tells_reasons: bool  # of what is wrong, which name hosts: on the public surface strangers would read them
    request_id: str
    client: Client
    answer_fields: dict[str, str]  # header fields of whatever is answered
    threads: BoundedThreadPool  # the door's own
    hashing: HashingQueue  # the door's
    user: User | None


AppRequest = Request[RequestState]
