"""Users, for administrators: listed, given another role or password, disabled and enabled."""

from starlette.responses import Response

from intake.internal_api.schemas import PageQuery, UserChange
from intake.users import accounts
from intake.web.bodies import read_query
from intake.web.paging import page_response
from intake.web.parts import AppRequest
from intake.web.routing import origin_of


def get_users(request: AppRequest) -> Response:
    """Give a page of users."""
    query = read_query(request.query_params, PageQuery)
    newest_first = query.order == "desc"
    database = request.state["database"]
    found = accounts.find(database, after=query.after, newest_first=newest_first, limit=query.limit + 1)
    return page_response(request, found, limit=query.limit)


def patch_user(request: AppRequest, body: UserChange) -> Response:
    """Change a user."""
    parts = request.state
    accounts.change(
        parts["database"],
        username=request.path_params["name"],
        role=body.role,
        disabled=body.disabled,
        password=body.password,
        min_characters=parts["settings"].min_password_characters,
        origin=origin_of(request),
    )
    return Response(status_code=204)
