"""User administration endpoints."""

from starlette.responses import Response

from intake.errors import PermissionDenied
from intake.http.pagination import page_response
from intake.http.request_state import AppRequest
from intake.http.routing import actor_of, in_hashing_thread, require_user, run_in_pool, turn_of, while_active
from intake.internal_api.schemas.users import UserChange
from intake.request_models import PageQuery
from intake.users import accounts


def get_users(request: AppRequest, query: PageQuery) -> Response:
    """Return a page of users."""
    return page_response(request, accounts.list_users(request.state["database"], query), limit=query.limit)


async def patch_user(request: AppRequest, body: UserChange) -> Response:
    """Change a user's role, password or status; disabling or a new password revokes all tokens."""
    parts, name = request.state, request.path_params["name"]

    def update() -> None:
        accounts.update_user(
            parts["database"],
            username=name,
            role=body.role,
            disabled=body.disabled,
            password=body.password,
            min_characters=parts["settings"].min_password_characters,
            actor=actor_of(request),
        )

    if body.password is None:
        await run_in_pool(request, while_active(request, update))
    elif name.casefold() == require_user(request).username.casefold():  # a stolen token must not suffice
        raise PermissionDenied(
            "your own password can't be reset; change it with the old one:"
            " PUT /internal/auth/password, or leadctl passwd"
        )
    else:
        await in_hashing_thread(request, update, turn_of(request))
    return Response(status_code=204)
