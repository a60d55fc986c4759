"""Endpoints that erase or export all data of one person."""

from starlette.responses import Response

from intake.http.content_disposition import attachment
from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.http.routing import actor_of
from intake.http.streaming import PoolStreamingResponse
from intake.internal_api.schemas.privacy import ErasureRequest, ErasureResult, PersonModel
from intake.leads import erasure, export
from intake.leads.data_subjects import DataSubject


def post_persons_erase(request: AppRequest, body: ErasureRequest) -> Response:
    """Erase all data of a person: leads, CVs, history and mails."""
    database, person = request.state["database"], DataSubject.parse(body.email)
    erase = erasure.preview if body.dry_run else erasure.erase
    erased = erase(database, person, actor=actor_of(request))
    in_maildir = request.state["settings"].smtp_server is None
    return json_response(ErasureResult(**dict(erased), in_maildir=in_maildir, dry_run=body.dry_run))


def post_persons_export(request: AppRequest, body: PersonModel) -> Response:
    """Export all data of a person as a zip of JSON and CVs."""
    parts, person = request.state, DataSubject.parse(body.email)
    has_scanner = parts["settings"].clamd is not None
    chunks = export.export(parts["database"], person, actor=actor_of(request), has_scanner=has_scanner)
    headers = {"Content-Disposition": attachment("person.zip"), "Cache-Control": "no-store"}
    return PoolStreamingResponse(request, chunks, headers=headers, media_type="application/zip")
