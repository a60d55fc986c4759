"""The one route that anyone may use: sending in a lead."""

from starlette.responses import Response

from intake.errors import DatabaseUnavailable, IdempotencyKeyInUse, StorageUnavailable
from intake.http.multipart import Form, multipart_reader, read_form
from intake.http.request_state import AppRequest
from intake.http.routing import Access, Operation, ResponseSpec, run_in_pool
from intake.leads.submissions import KEY_FIELD, create_lead, validate_idempotency_key, validate_submission
from intake.public_api.html_responses import accepts_html

PATH = "/leads/"
_TEXT_FIELDS = ("email", "f_name", "l_name")


async def post_lead(request: AppRequest) -> Response:
    """Read the form as it arrives, and keep what it says."""
    parts = request.state
    key = validate_idempotency_key(request.headers.getlist(KEY_FIELD))
    with multipart_reader(
        request.headers.get("content-type", ""),
        texts=_TEXT_FIELDS,
        file="CV",
        max_file_bytes=parts["settings"].max_cv_bytes,
    ) as reader:
        form = await read_form(request, reader)
        is_new = await run_in_pool(request, lambda: _keep(request, form, key), is_under_way=True)
    if is_new:
        parts["metrics"].leads.inc()
        if parts["worker"] is not None:
            parts["worker"].wake()
    return Response(status_code=204)


def _keep(request: AppRequest, form: Form, key: str | None) -> bool:
    parts = request.state
    submission = validate_submission(
        form.texts,
        cv_name=form.filename,
        cv=form.file,
        extensions=parts["settings"].cv_extensions,
        faults=form.faults,
    )
    if key is None and accepts_html(request.headers):
        # a form can't make one: so a second click, or a reload, keeps no second lead
        key = submission.content_sha256
    return create_lead(parts["database"], parts["settings"], submission, key=key)


_FORM = {
    "type": "object",
    "properties": {
        "email": {"type": "string", "format": "email", "description": "Where to answer."},
        "f_name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "First name."},
        "l_name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Last name."},
        "CV": {"type": "string", "contentMediaType": "application/octet-stream", "description": "The file."},
    },
    "required": ["email", "f_name", "l_name", "CV"],
}

OPERATIONS = (
    Operation(
        method="POST",
        path=PATH,
        endpoint=post_lead,
        summary="Send in a lead.",
        access=Access.OPEN,
        is_rate_limited=True,
        form=_FORM,
        answer=ResponseSpec(204, "The lead is kept, with its CV and the mails it owes."),
        also=(
            ResponseSpec(
                200,
                "The same, where `Accept` prefers `text/html`: a page of thanks. Problems are pages, too.",
                {"type": "string"},
                media_type="text/html",
            ),
            ResponseSpec(
                303,
                "The same, where the firm has a page of its own.",
                headers={"Location": "The firm's page of thanks."},
            ),
        ),
        headers={KEY_FIELD: "1 to 255 characters: within 24 hours, the same submission under it is kept once."},
        problems=(DatabaseUnavailable, StorageUnavailable, IdempotencyKeyInUse),
    ),
)
