"""Pages of a list, each naming the next."""

from urllib.parse import urlencode

from starlette.responses import Response

from intake.web.parts import AppRequest


def link_to_next(request: AppRequest, response: Response, **place: object) -> Response:
    """Return the response with a Link (RFC 8288) to the next page: the same query, going on from the place.

    It is a relative reference: behind TLS the service does not know its own scheme.
    """
    query = [item for item in request.query_params.multi_items() if item[0] not in place]
    response.headers["Link"] = f'<?{urlencode([*query, *place.items()])}>; rel="next"'
    return response
