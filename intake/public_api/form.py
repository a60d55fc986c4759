"""Routes of the hosted form, its confirmation page, its script and the firm's logo."""

from starlette.exceptions import HTTPException
from starlette.responses import Response

from intake.http.request_state import AppRequest
from intake.http.routing import open_get
from intake.public_api.form_pages import FORM_PATH, LOGO_PATH, SCRIPT, SCRIPT_PATH, THANKS_PATH, FormPages, Page
from intake.public_api.negotiation import HTML

_IMAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # of an SVG that is opened by itself


async def get_form(request: AppRequest) -> Response:
    """Return the form as an HTML page."""
    pages = _served(request)
    page = pages.form(pages.language(request.query_params, request.headers))
    return _response(page, page.with_timestamp(request.state["form_key"].sign()))


async def get_thanks(request: AppRequest) -> Response:
    """Return the confirmation page of the form."""
    pages = _served(request)
    page = pages.thanks(pages.language(request.query_params, request.headers))
    return _response(page, page.html.encode())


async def get_script(request: AppRequest) -> Response:
    """Return the script of the form."""
    _served(request)
    return Response(
        SCRIPT, headers={"Cache-Control": "public, max-age=31536000, immutable"}, media_type="text/javascript"
    )


async def get_logo(request: AppRequest) -> Response:
    """Return the firm's logo."""
    if (logo := _served(request).logo) is None:
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=3600", "Content-Security-Policy": _IMAGE_POLICY}
    return Response(logo.content, headers=headers, media_type=logo.media_type)


def _served(request: AppRequest) -> FormPages:
    """Return the form's pages, if this host may serve them."""
    pages: FormPages = request.state["form_pages"]
    if not pages.is_served(request.headers.get("host", "")):
        raise HTTPException(404)
    return pages


def _response(page: Page, content: bytes) -> Response:
    headers = {
        "Content-Language": page.language,
        "Content-Security-Policy": page.policy,
        "Cache-Control": "private, no-cache",  # the timestamp is of this response
        "Vary": "Accept-Language",
    }
    return Response(content, headers=headers, media_type=HTML)


_PAGE = {"type": "string", "examples": ["<!doctype html>…"]}
_SCRIPT = {"type": "string", "examples": ["…"]}
_LOGO = {"type": "string", "format": "binary", "examples": ["<svg>…"]}

OPERATIONS = (
    open_get(FORM_PATH, get_form, "The form", _PAGE, HTML),
    open_get(THANKS_PATH, get_thanks, "The page", _PAGE, HTML),
    open_get(SCRIPT_PATH, get_script, "The script", _SCRIPT, "text/javascript"),
    # as for CVs: generated clients return bytes
    open_get(LOGO_PATH, get_logo, "The logo", _LOGO, "application/octet-stream", "*/*"),
)
