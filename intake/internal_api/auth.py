"""Authentication endpoints: login, token renewal, the user's own account and password, and registration."""

from collections.abc import Callable
from functools import partial

from starlette.responses import Response

from intake import errors
from intake.http.hashing_queue import ahead, behind
from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.http.routing import actor_of, in_hashing_thread, require_user, run_in_pool, turn_of
from intake.internal_api.schemas.users import Credentials, PasswordChange, Registration, Token, UserModel
from intake.users import accounts, authentication
from intake.users.login_throttle import LoginAttempt


async def post_register(request: AppRequest, body: Registration) -> Response:
    """Create a user; for administrators, or for everyone if registration is open."""
    parts = request.state
    open_to_all = parts["settings"].open_registration
    accounts.check_registration(by=parts["user"], open_to_all=open_to_all, role=body.role)

    def register() -> None:
        accounts.create_user(
            parts["database"],
            username=body.username,
            password=body.password,
            role="attorney" if body.role is None else body.role,
            min_characters=parts["settings"].min_password_characters,
            actor=actor_of(request),
        )

    await in_hashing_thread(request, register, turn_of(request))
    return Response(status_code=204)


async def post_login(request: AppRequest, body: Credentials) -> Response:
    """Log in: return a token for a username and password."""
    parts = request.state

    def log_in() -> str:
        return authentication.log_in(
            parts["database"],
            parts["token_signer"],
            username=body.username,
            password=body.password,
            actor=actor_of(request),
            should_audit_unknown=parts["login_throttle"].should_audit_unknown,
        )

    return _token(await _throttled(request, body.username, log_in, wrong=errors.AuthenticationRequired))


def get_me(request: AppRequest) -> Response:
    """Return the authenticated user."""
    return json_response(UserModel.model_validate(require_user(request), from_attributes=True))


def post_renew(request: AppRequest) -> Response:
    """Renew a valid token, up to 12 hours after the login."""
    return _token(accounts.renew(request.state["token_signer"], by=require_user(request)))


async def put_password(request: AppRequest, body: PasswordChange) -> Response:
    """Change your own password; older tokens are revoked."""
    parts, user = request.state, require_user(request)

    def change_password() -> str:
        return authentication.change_password(
            parts["database"],
            parts["token_signer"],
            by=user,
            old=body.old,
            new=body.new,
            min_characters=parts["settings"].min_password_characters,
            actor=actor_of(request),
        )

    return _token(await _throttled(request, user.username, change_password, wrong=errors.PermissionDenied))


async def _throttled(
    request: AppRequest, username: str, verify: Callable[[], str], *, wrong: type[errors.IntakeError]
) -> str:
    """Return the result of `verify`, which hashes a password and raises `wrong` if it does not match.

    The throttle is checked in the API's other threads first, so that refusals don't wait for hashing, and again before
    hashing, since concurrent attempts may have failed meanwhile.
    """
    parts = request.state
    count, throttle = parts["metrics"].logins.labels, parts["login_throttle"]

    def begin() -> LoginAttempt:
        has_token, client = parts["user"] is not None, parts["client"].key
        allowed = partial(parts["allowed_logins"].tries, username, client)
        return throttle.attempt(username, client, has_token=has_token, allowed=allowed)

    def run(attempt: LoginAttempt) -> str:
        throttle.check(attempt)
        try:
            token = verify()
        except wrong:
            count("wrong").inc()
            throttle.fail(attempt)
            raise
        count("right").inc()
        throttle.succeed(attempt)
        return token

    try:
        attempt = await run_in_pool(request, begin)
        turn = behind(parts["client"].network) if attempt.group is None else ahead(attempt.group)
        return await in_hashing_thread(request, lambda: run(attempt), turn)
    except (errors.LoginThrottled, errors.TooManyPendingLogins, errors.RateLimiterUnavailable):
        count("refused").inc()
        raise


def _token(token: str) -> Response:
    response = json_response(Token(access_token=token))
    response.headers["Cache-Control"] = "no-store"
    return response
