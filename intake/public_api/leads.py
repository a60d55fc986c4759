"""Submission of a lead, the only route without authentication."""

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from intake.errors import DatabaseUnavailable, IdempotencyKeyInUse, StorageUnavailable
from intake.form.definition import LANGUAGE_FIELD, PRIVACY_FIELD, TIMESTAMP_FIELD, FormDefinition
from intake.http.multipart import Form, MultipartReader, read_form
from intake.http.request_state import AppRequest
from intake.http.routing import Access, Operation, ResponseSpec
from intake.leads.submissions import (
    KEY_FIELD,
    MAX_KEY_CHARACTERS,
    create_lead,
    validate_idempotency_key,
    validate_submission,
)
from intake.public_api.negotiation import LANGUAGE_PARAMETER, accepts_html
from intake.request_models import LEAD_FORM_EXAMPLE, LEAD_FORM_FIELDS

PATH = "/leads/"
_TEXT_FIELDS = ("email", "f_name", "l_name")


async def post_lead(request: AppRequest) -> Response:
    """Submit a lead."""
    state = request.state
    key = validate_idempotency_key(request.headers.getlist(KEY_FIELD))
    with MultipartReader(
        request.headers.get("content-type", ""),
        texts=(*_TEXT_FIELDS, *state["answers"].names),
        max_file_bytes=state["settings"].max_cv_bytes,
    ) as reader:
        is_new = await read_form(request, reader, lambda form: _save(request, form, key))
    if is_new:
        state["metrics"].leads.inc()
        if state["worker"] is not None:
            state["worker"].wake()
    return Response(status_code=204)


def _save(request: AppRequest, form: Form, key: str | None) -> bool:
    state = request.state
    state["unknown_fields"].record(form.unknown)
    if TIMESTAMP_FIELD in form.texts:
        state["hosted_form"] = form.texts
    submission = validate_submission(
        {LANGUAGE_FIELD: request.query_params.get(LANGUAGE_PARAMETER, ""), **form.texts},
        cv_name=form.filename,
        cv=form.file,
        extensions=state["settings"].cv_extensions,
        faults=form.faults,
        answers=state["answers"],
    )
    if key is None and (state["hosted_form"] is not None or accepts_html(request.headers)):
        # plain forms can't send a key, and a second click or a reload must not save a second lead
        key = submission.content_sha256
    is_new = create_lead(state["database"], state["settings"], submission, key=key)
    if is_new and submission.answers.suspect:
        state["metrics"].suspects.inc()
    return is_new


_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        **LEAD_FORM_FIELDS,
        LANGUAGE_FIELD: {
            "type": "string",
            "description": "Language in which the form was shown; default: the query `lang`.",
        },
        PRIVACY_FIELD: {
            "type": "string",
            "description": "`on`, or the SHA-256 of the notice that was shown: the privacy notice was acknowledged.",
        },
        TIMESTAMP_FIELD: {"type": "string", "description": "Signed time at which the service sent the hosted form."},
    },
    "required": list(LEAD_FORM_FIELDS),
    "examples": [LEAD_FORM_EXAMPLE],
}


def describe_form(operation: Operation, form: FormDefinition) -> Operation:
    """Return an operation; if it is the submission, with the firm's fields and consents in its schema and example."""
    if operation.form is not _FORM:
        return operation
    fields = {field.key: field.value_schema(form.default_language) for field in form.fields}
    consents = {consent.key: _consent_schema(consent.label[form.default_language]) for consent in form.consents}
    described = {
        **_FORM,
        "properties": {**_FORM["properties"], **fields, **consents},
        "required": [*LEAD_FORM_FIELDS, *(field.key for field in form.fields if field.required)],
        "examples": [LEAD_FORM_EXAMPLE | {key: schema["examples"][0] for key, schema in fields.items()}],
    }
    return replace(operation, form=described)


def _consent_schema(label: str) -> dict[str, str]:
    return {"type": "string", "description": f"Consent: `on`, or the SHA-256 of the label that was shown. {label}"}


_KEY = {
    "description": "Within 24 hours, a submission with the same key is saved once.",
    "minLength": 1,
    "maxLength": MAX_KEY_CHARACTERS,
    "examples": ["0b8f5a52-6f0e-4c52-9a8e-6d8f0f0d5a11"],
}

OPERATIONS = (
    Operation(
        method="POST",
        path=PATH,
        endpoint=post_lead,
        access=Access.OPEN,
        is_rate_limited=True,
        form=_FORM,
        response=ResponseSpec(204, "The lead is saved, with its CV and queued mails."),
        also=(
            ResponseSpec(
                200,
                "The lead is saved, and `Accept` prefers `text/html`: a confirmation page. Problems are pages, too.",
                {"type": "string", "examples": ["<!doctype html>…"]},
                media_types=("text/html",),
            ),
            ResponseSpec(
                303,
                "The same, for the hosted form, or if `INTAKE_FORM_THANKS_URL` is set.",
                headers={"Location": "The confirmation page: the firm's own, or the service's."},
            ),
        ),
        headers={KEY_FIELD: _KEY},
        problems=(DatabaseUnavailable, StorageUnavailable, IdempotencyKeyInUse),
    ),
)
