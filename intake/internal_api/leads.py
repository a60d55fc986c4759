"""Endpoints for leads: list, search, details, manual creation, state changes and CV downloads."""

from base64 import b64encode
from collections.abc import Mapping

from starlette.responses import Response

from intake import audit
from intake.audit import Action
from intake.errors import LeadNotFound
from intake.http.content_disposition import attachment
from intake.http.multipart import MultipartReader, read_form
from intake.http.pagination import link_to_next
from intake.http.ranges import content_range, parse_range
from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.http.routing import actor_of, require_user, run_in_pool, while_active
from intake.http.streaming import PoolStreamingResponse
from intake.internal_api.schemas.leads import CvQuery, StateChange
from intake.leads import cv_access, cv_texts, listing, manual_leads, searching, states, suspects
from intake.leads.listing import LeadQuery
from intake.leads.models import CvModel
from intake.leads.searching import SearchQuery
from intake.request_models import MAX_ID, filters_in_use

OMITTED = "Suspect-Omitted"
_TEXT_FIELDS = ("email", "f_name", "l_name", "external_id", "state", "notify", "dry_run")


def get_leads(request: AppRequest, query: LeadQuery) -> Response:
    """Return all leads that match the filters, or a page of them."""
    parts = request.state
    states.validate_states(query.state, known=parts["settings"].states, field="state")
    headers = {}
    if query.suspect is False:
        headers[OMITTED] = str(suspects.count_suspects(parts["database"], query))
    if query.limit is not None:
        return _page(request, query, query.limit, headers)
    response = PoolStreamingResponse(
        request, listing.stream_json(parts["database"], query), headers=headers, media_type="application/json"
    )
    audit.record_alone(parts["database"], Action.LIST, actor_of(request), detail=filters_in_use(query))
    return response


def get_search(request: AppRequest, query: SearchQuery) -> Response:
    """Search leads by words, and show where they are."""
    parts = request.state
    states.validate_states(query.state, known=parts["settings"].states, field="state")
    return json_response(searching.search(parts["database"], query, actor=actor_of(request)))


def get_lead(request: AppRequest) -> Response:
    """Return one lead with its CV's metadata."""
    return json_response(listing.get_lead(request.state["database"], lead_id(request)))


async def post_internal_lead(request: AppRequest) -> Response:
    """Create a lead: a walk-in, or an import from another system."""
    parts = request.state
    settings, database = parts["settings"], parts["database"]
    with MultipartReader(
        request.headers.get("content-type", ""),
        texts=_TEXT_FIELDS,
        max_file_bytes=settings.max_cv_bytes,
        refuses_unknown=True,
    ) as reader:
        manual_lead = await read_form(
            request,
            reader,
            lambda form: manual_leads.validate_manual_lead(
                form.texts,
                states=settings.states,
                cv_name=form.filename,
                cv=form.file,
                extensions=settings.cv_extensions,
                faults=form.faults,
            ),
        )

        def create() -> tuple[int | None, bool]:
            return manual_leads.create_manual_lead(database, settings, manual_lead, actor=actor_of(request))

        saved_id, is_new = await run_in_pool(request, while_active(request, create))
    if saved_id is None:
        return Response(status_code=204)
    if is_new:
        parts["metrics"].leads.inc()
        if manual_lead.notify and parts["worker"] is not None:
            parts["worker"].wake()
    lead = await run_in_pool(request, lambda: listing.get_lead(database, saved_id))
    response = json_response(lead, 201 if is_new else 200)
    # relative to the requested path: behind a proxy the service does not know its own address
    response.headers["Location"] = f"{'' if request.url.path.endswith('/') else 'leads/'}{lead.id}"
    return response


def patch_lead(request: AppRequest, body: StateChange) -> Response:
    """Change the state of a lead."""
    validate_change(request, body)
    database, user = request.state["database"], require_user(request)
    states.change_state(database, lead_id(request), to=body.status, expected=body.from_, user_id=user.id)
    return Response(status_code=204)


def post_clear_suspect(request: AppRequest) -> Response:
    """Clear a suspect lead: its mails are queued, and `leadctl` shows it."""
    parts = request.state
    is_cleared = suspects.clear(parts["database"], parts["settings"], lead_id(request), actor=actor_of(request))
    if is_cleared and parts["worker"] is not None:
        parts["worker"].wake()
    return Response(status_code=204, headers={"Suspect-Cleared": "true" if is_cleared else "false"})


def validate_change(request: AppRequest, body: StateChange) -> None:
    """Raise ValidationError if one of the states in the body is unknown."""
    for field, state in (("status", body.status), ("from", body.from_)):
        if state is not None:
            states.validate_states([state], known=request.state["settings"].states, field=field)


def get_cv(request: AppRequest, query: CvQuery) -> Response:
    """Download a CV, or one range of it, as an attachment."""
    database = request.state["database"]
    lead = listing.get_lead(database, lead_id(request))
    has_scanner = request.state["settings"].clamd is not None
    cv_access.check(lead, force=query.force, has_scanner=has_scanner)
    headers = _cv_headers(lead.CV)
    if _matches_etag(headers["ETag"], request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers={"ETag": headers["ETag"]})
    if request.method == "HEAD":
        return Response(headers=headers, media_type=lead.CV.detected_type)
    span = parse_range(request, tag=headers["ETag"], size=lead.CV.size)
    if span is not None:
        headers |= {"Content-Range": content_range(span, size=lead.CV.size), "Content-Length": str(len(span))}
    response = PoolStreamingResponse(
        request,
        listing.read_cv(database, lead, span),
        status_code=200 if span is None else 206,
        headers=headers,
        media_type=lead.CV.detected_type,
    )
    cv_access.record(database, lead, actor_of(request), is_range=span is not None, has_scanner=has_scanner)
    return response


def get_cv_text(request: AppRequest) -> Response:
    """Return the text of a CV, or why there is none, and record that it was read."""
    database, is_on = request.state["database"], request.state["settings"].cv_text
    return json_response(cv_texts.read_text(database, lead_id(request), actor=actor_of(request), is_on=is_on))


def lead_id(request: AppRequest) -> int:
    """Return the lead's id from the path. Raises LeadNotFound."""
    text = request.path_params["id"]
    if text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= MAX_ID:
        return int(text)
    raise LeadNotFound(f"there is no lead {text!r}: ids are whole numbers from 1 to {MAX_ID}")


def _page(request: AppRequest, query: LeadQuery, limit: int, headers: Mapping[str, str]) -> Response:
    page, last_id = listing.read_json_page(request.state["database"], query, limit=limit)
    response = Response(page, headers=headers, media_type="application/json")
    return response if last_id is None else link_to_next(request, response, after=last_id)


def _cv_headers(cv: CvModel) -> dict[str, str]:
    digest = b64encode(bytes.fromhex(cv.sha256)).decode("ascii")
    return {
        "Content-Length": str(cv.size),
        "Content-Disposition": attachment(cv.name),
        "Content-Security-Policy": "sandbox",
        "ETag": f'"{cv.sha256}"',
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530
    }


def _matches_etag(tag: str, if_none_match: str) -> bool:
    listed = [etag.strip().removeprefix("W/") for etag in if_none_match.split(",")]
    return tag in listed or "*" in listed
