"""Logging in and staying so: tokens, one's own password, who one is; and registering others."""

from starlette.responses import Response

from intake.internal_api.schemas import Credentials, PasswordChange, Registration, Token, UserModel
from intake.users import accounts
from intake.web.bodies import json_response
from intake.web.parts import AppRequest
from intake.web.routing import signed_in


def post_register(request: AppRequest, body: Registration) -> Response:
    """Make a user."""
    parts = request.state
    accounts.register(
        parts["database"],
        by=parts["user"],
        open_to_all=parts["settings"].open_registration,
        username=body.username,
        password=body.password,
        role=body.role,
    )
    return Response(status_code=204)


def post_login(request: AppRequest, body: Credentials) -> Response:
    """Give a token for a name and a password."""
    parts = request.state
    return _token(accounts.log_in(parts["database"], parts["keys"], username=body.username, password=body.password))


def get_me(request: AppRequest) -> Response:
    """Say who the token stands for."""
    user = signed_in(request)
    model = UserModel(id=user.id, username=user.username, role=user.role, created_at=user.created_at)
    return json_response(model.model_dump())


def post_renew(request: AppRequest) -> Response:
    """Give a new token for one that is still good."""
    return _token(accounts.renew(request.state["keys"], by=signed_in(request)))


def put_password(request: AppRequest, body: PasswordChange) -> Response:
    """Give the user a new password, and a token of it."""
    database, keys = request.state["database"], request.state["keys"]
    return _token(accounts.change_password(database, keys, by=signed_in(request), old=body.old, new=body.new))


def _token(token: str) -> Response:
    response = json_response(Token(access_token=token).model_dump())
    response.headers["Cache-Control"] = "no-store"
    return response
