"""Users, for administrators: listed, given another role or password, disabled and enabled."""

from starlette.responses import Response

from intake.internal_api.schemas import UserChange, UserQuery
from intake.users import accounts
from intake.web.bodies import json_response, read_query
from intake.web.paging import link_to_next
from intake.web.parts import AppRequest


def get_users(request: AppRequest) -> Response:
    """Give a page of users."""
    query = read_query(request.query_params, UserQuery)
    newest_first = query.order == "desc"
    database = request.state["database"]
    found = accounts.find(database, after=query.after, newest_first=newest_first, limit=query.limit + 1)
    page = found[: query.limit]
    response = json_response(page)
    return link_to_next(request, response, after=page[-1]["id"]) if len(found) > len(page) else response


def patch_user(request: AppRequest, body: UserChange) -> Response:
    """Change a user."""
    accounts.change(
        request.state["database"],
        username=request.path_params["name"],
        role=body.role,
        disabled=body.disabled,
        password=body.password,
    )
    return Response(status_code=204)
