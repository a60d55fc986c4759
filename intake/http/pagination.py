"""Pages of a list, each naming the next."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest


def page_response(request: AppRequest, found: Sequence[Any], *, limit: int, by: str = "after") -> Response:
    """Return an answer of the first `limit` records of what was found; where there is more, it names the next page.

    `by` is the parameter that takes the id to go on from.
    """
    page = found[:limit]
    response = json_response(page)
    return link_to_next(request, response, **{by: page[-1].id}) if len(found) > len(page) else response


def link_to_next(request: AppRequest, response: Response, **place: object) -> Response:
    """Return the response with a Link (RFC 8288) to the next page: the same query, going on from the place.

    It is a relative reference: behind TLS the service does not know its own scheme.
    """
    query = [item for item in request.query_params.multi_items() if item[0] not in place]
    response.headers["Link"] = f'<?{urlencode([*query, *place.items()])}>; rel="next"'
    return response
