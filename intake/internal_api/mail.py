"""Endpoints for the outbox: list, and retry."""

from functools import partial

from starlette.responses import Response

from intake import audit
from intake.audit import Action
from intake.http.pagination import page_response
from intake.http.request_parsing import json_response
from intake.http.request_state import AppRequest
from intake.http.routing import actor_of
from intake.internal_api.schemas.mail import MailRetry
from intake.leads.new_lead import mailbox_of
from intake.mail import admin
from intake.mail.admin import MailQuery
from intake.request_models import filters_in_use


def get_mail(request: AppRequest, query: MailQuery) -> Response:
    """Return a page of mails."""
    database = request.state["database"]
    found = admin.list_mails(database, query)
    detail = filters_in_use(query)
    audit.record_alone(database, Action.MAIL_LIST, actor_of(request), lead_id=query.lead, detail=detail)
    return page_response(request, found, limit=query.limit)


def post_mail_retry(request: AppRequest, body: MailRetry) -> Response:
    """Queue failed mails again."""
    mailbox = partial(mailbox_of, request.state["settings"])
    results = admin.retry_mails(request.state["database"], body.ids, mailbox_of=mailbox, actor=actor_of(request))
    if (worker := request.state["worker"]) is not None:
        worker.wake()
    return json_response({"results": [{"id": i, "result": r} for i, r in zip(body.ids, results, strict=True)]})
