"""Typed request state."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

from starlette.requests import Request

from intake.database import Database
from intake.form.answers import AnswerReader
from intake.form.definition import FormDefinition
from intake.form.timestamps import FormKey
from intake.http.client_address import Client, ForwardingMonitor
from intake.http.hashing_queue import HashingQueue
from intake.http.thread_pool import BoundedThreadPool
from intake.http.unknown_fields import UnknownFields
from intake.metrics import Metrics
from intake.rate_limits.limiter import RateLimiter
from intake.settings import Settings
from intake.users.accounts import User
from intake.users.authentication import AllowedLogins
from intake.users.login_throttle import LoginThrottle
from intake.users.tokens import TokenSigner

if TYPE_CHECKING:  # it imports this module
    from intake.http.openapi import Description


class Worker(Protocol):
    """The part of the worker in this process that the APIs use."""

    @property
    def errors(self) -> Mapping[str, str | None]:
        """The errors for /readyz, by its field names; None where all is well."""

    @property
    def cv_sandbox(self) -> str | None:
        """The active parts of the sandbox in which texts of CVs are extracted, if they are."""

    def wake(self) -> None:
        """Check for queued mail now."""


class RequestState(TypedDict):
    """Objects of the application, and facts about one request.

    A process with only the public API has no `token_signer`, `allowed_logins`, `login_throttle` and `description`; one
    with only the internal API has no `public_description`.
    """

    settings: Settings
    database: Database
    token_signer: TokenSigner
    allowed_logins: AllowedLogins
    login_throttle: LoginThrottle
    metrics: Metrics
    description: "Description"  # of all routes of the process
    public_description: "Description"
    worker: Worker | None
    limiter: RateLimiter
    forwarding: ForwardingMonitor
    form: FormDefinition
    form_key: FormKey
    answers: AnswerReader
    form_pages: Any  # intake.public_api.form_pages.FormPages, which this layer can't import
    hosted_form: Mapping[str, str] | None  # its text fields, if the request is from the hosted form
    unknown_fields: UnknownFields
    is_draining: bool  # the process stops soon, and proxies must use another one
    exposes_errors: bool  # which name hosts, so anonymous clients must not read them
    request_id: str
    client: Client
    response_headers: dict[str, str]  # added to any response
    thread_pool: BoundedThreadPool  # of the API
    hashing_queue: HashingQueue  # of the API
    user: User | None


AppRequest = Request[RequestState]
