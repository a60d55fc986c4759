"""Persons, for administrators: all that is kept of one, erased or exported."""

import itertools

from starlette.responses import Response, StreamingResponse

from intake.http.content_disposition import attachment
from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.http.routing import actor_of, stream_in_pool
from intake.internal_api.schemas.privacy import ErasureRequest, PersonModel
from intake.leads import erasure, export
from intake.leads.data_subjects import DataSubject


def post_persons_erase(request: AppRequest, body: ErasureRequest) -> Response:
    """Erase a person, or tell what that would be."""
    database, person = request.state["database"], DataSubject.parse(body.email)
    if body.dry_run:
        erased = erasure.preview(database, person, origin=actor_of(request))
    else:
        erased = erasure.erase(database, person, origin=actor_of(request))
    return json_response(
        {
            "leads": [{"id": number, "state": state} for number, state in erased.leads],
            "cvs": erased.cvs,
            "mails": erased.mails,
            "mails_sent": erased.mails_sent,
            "in_maildir": request.state["settings"].smtp_server is None,
            "objects_left": erased.objects_left,
            "complete": erased.is_complete,
            "swept": erased.is_swept,
            "dry_run": body.dry_run,
        }
    )


def post_persons_export(request: AppRequest, body: PersonModel) -> Response:
    """Stream a zip of all that is kept of a person."""
    parts, person = request.state, DataSubject.parse(body.email)
    has_scanner = parts["settings"].clamd is not None
    pieces = export.export(parts["database"], person, origin=actor_of(request), has_scanner=has_scanner)
    begun = itertools.chain([next(pieces)], pieces)  # whom nobody knows, and a database that is away, are told first
    headers = {"Content-Disposition": attachment("person.zip"), "Cache-Control": "no-store"}
    return StreamingResponse(stream_in_pool(request, begun), 200, headers, "application/zip")
