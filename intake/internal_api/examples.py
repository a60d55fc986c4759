"""An example of each model of the internal API, for its description."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from intake.audit import AuditEntryModel
from intake.internal_api.schemas.bulk_changes import BulkChange, Outcomes, Undo, UndoOutcomes
from intake.internal_api.schemas.leads import StateChange
from intake.internal_api.schemas.mail import MailRetry, MailRetryResults
from intake.internal_api.schemas.privacy import ErasureRequest, ErasureResult, PersonModel
from intake.internal_api.schemas.users import Credentials, PasswordChange, Registration, Token, UserChange, UserModel
from intake.leads.cv_texts import CvText
from intake.leads.history import ChangeModel, EventModel
from intake.leads.models import LeadWithCv, ListedLead
from intake.leads.searching import SearchResults
from intake.leads.statistics import Statistics
from intake.mail.admin import MailModel
from intake.users.accounts import ListedUser

_AT = "2026-11-01T09:00:00Z"
_CHANGE, _UNDO = "3e0f6a3c-6a0e-4b7e-9d3c-2f1b8f5f4a10", "b1c2a9d4-7a55-4f0c-8a43-0c9f5a0e6d21"
_REACHED_OUT = {"status": "REACHED_OUT", "from": "PENDING"}
_LEAD = {
    "id": 42,
    "email": "ada@example.com",
    "f_name": "Ada",
    "l_name": "Lovelace",
    "CV_name": "cv.pdf",
    "state": "PENDING",
    "created_at": _AT,
}
_CV = {
    "size": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "detected_type": "application/pdf",
    "flags": ["javascript"],
    "scan_state": "clean",
    "signature": None,
}
_USER = {"id": 2, "username": "grace", "role": "attorney", "created_at": _AT}
_PASSWORD = "correct horse battery staple"  # noqa: S105 - an example

EXAMPLES: Mapping[type[BaseModel], Mapping[str, Any]] = {
    ListedLead: _LEAD,
    LeadWithCv: {
        **_LEAD,
        "CV": _CV,
        "suspect": None,
        "language": "en",
        "fields": {"matter": "tax", "phone": "+44 20 7946 0000"},
        "consents": [
            {
                "key": "privacy",
                "text_sha256": "1d5c1f3f8a0f6c5b5d1f0e7c7c8a1c5be1a1d2f65ae10f0a4a1e2d6cb2f2b9aa",
                "version": "2026-11",
                "language": "en",
                "given_at": _AT,
            }
        ],
    },
    SearchResults: {
        "results": [
            {
                **_LEAD,
                "matches": [
                    {"field": "l_name", "text": "Lovelace", "highlights": [[0, 8]], "page": None},
                    {"field": "CV", "text": "wrote the first program", "highlights": [[16, 23]], "page": 1},
                ],
                "search_truncated": False,
                "suspect": None,
            }
        ],
        "total": 1,
        "unindexed": 0,
        "unquoted": 0,
        "next": None,
    },
    CvText: {
        "state": "done",
        "reason": None,
        "text": "Ada Lovelace\nAnalyst\n\nPublications",
        "pages": [0, 22],
        "truncated": False,
        "guessed": False,
    },
    StateChange: _REACHED_OUT,
    BulkChange: {"ids": [42, 43], **_REACHED_OUT, "change": _CHANGE},
    Outcomes: {
        "change": _CHANGE,
        "results": [
            {"id": 42, "result": "changed", "state": "REACHED_OUT", "by": None, "at": None},
            {"id": 43, "result": "conflict", "state": "ENGAGED", "by": "grace", "at": _AT},
        ],
    },
    Undo: {"change": _UNDO},
    UndoOutcomes: {
        "change": _UNDO,
        "results": [{"id": 42, "result": "undone", "state": "PENDING", "by": None, "at": None}],
        "next": None,
    },
    ChangeModel: {
        "id": _CHANGE,
        "at": _AT,
        "user": "grace",
        "from": "PENDING",
        "to": "REACHED_OUT",
        "undoes": None,
        "count": 2,
        "undone_by": [{"id": _UNDO, "count": 1}],
    },
    EventModel: {
        "at": _AT,
        "user": "grace",
        "from": "PENDING",
        "to": "REACHED_OUT",
        "change": _CHANGE,
        "undoes": None,
    },
    MailModel: {
        "id": 7,
        "lead_id": 42,
        "kind": "confirmation",
        "recipient": "ada@example.com",
        "state": "sent",
        "attempts": 1,
        "last_error": None,
        "next_attempt_at": _AT,
        "created_at": _AT,
        "sent_at": _AT,
        "message_id": "<7.3e0f6a3c@intake.example.com>",
        "digest_id": None,
    },
    MailRetry: {"ids": [7, 8]},
    MailRetryResults: {"results": [{"id": 7, "result": "revived"}, {"id": 8, "result": "missing"}]},
    Statistics: {
        "total": 2,
        "suspect": 0,
        "states": {"PENDING": 1, "REACHED_OUT": 1},
        "days": {"2026-11-01": 2},
        "oldest_waiting": {"id": 42, "created_at": _AT},
        "mails": {"queued": 1, "failed": 0},
        "state_keys": {"REACHED_OUT": "x"},
    },
    PersonModel: {"email": "ada@example.com"},
    ErasureRequest: {"email": "ada@example.com", "dry_run": True},
    ErasureResult: {
        "leads": [{"id": 42, "state": "PENDING"}],
        "cvs": 1,
        "mails": 2,
        "mails_sent": 1,
        "objects_left": 0,
        "complete": True,
        "swept": True,
        "in_maildir": False,
        "dry_run": True,
    },
    Registration: {"username": "grace", "password": _PASSWORD, "role": "attorney"},
    Credentials: {"username": "grace", "password": _PASSWORD},
    Token: {"access_token": "eyJ…", "token_type": "bearer", "expires_in": 1800},
    UserModel: _USER,
    ListedUser: {**_USER, "disabled": False},
    PasswordChange: {"old": _PASSWORD, "new": "eleven purple teapots"},
    UserChange: {"role": "admin"},
    AuditEntryModel: {
        "id": 9,
        "at": _AT,
        "action": "download",
        "user": "grace",
        "subject": None,
        "lead": 42,
        "detail": None,
        "client": "192.0.2.7",
        "request_id": "6f1c2a9e8b7d4c50",
    },
}
