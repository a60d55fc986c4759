"""Pagination with Link headers."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest


def page_response(request: AppRequest, found: Sequence[Any], *, limit: int, by: str = "after") -> Response:
    """Return the first `limit` records, with a link to the next page if more were found.

    `by` is the query parameter for the last id of the page.
    """
    page = found[:limit]
    response = json_response(page)
    return link_to_next(request, response, **{by: page[-1].id}) if len(found) > len(page) else response


def link_to_next(request: AppRequest, response: Response, **position: object) -> Response:
    """Add a Link (RFC 8288) to the next page, with the same query and these parameters, to a response.

    The reference is relative, because behind a TLS proxy the service does not know its own scheme.
    """
    query = [item for item in request.query_params.multi_items() if item[0] not in position]
    response.headers["Link"] = f'<?{urlencode([*query, *position.items()])}>; rel="next"'
    return response
