"""Operations of the internal API; by default they require a user."""

from intake import errors
from intake.audit import AuditEntryModel, AuditQuery
from intake.http.routing import Access, Operation, ResponseSpec
from intake.internal_api import audit, auth, bulk_changes, leads, mail, privacy, stats, users
from intake.internal_api.schemas.bulk_changes import BulkChange, Outcomes, Undo, UndoOutcomes
from intake.internal_api.schemas.leads import MANUAL_LEAD_FORM, CvQuery, StateChange
from intake.internal_api.schemas.mail import MailRetry, MailRetryResults
from intake.internal_api.schemas.privacy import ErasureRequest, ErasureResult, PersonModel
from intake.internal_api.schemas.users import (
    Credentials,
    PasswordChange,
    Registration,
    Token,
    UserChange,
    UserModel,
)
from intake.leads.cv_texts import CvText
from intake.leads.history import ChangeModel, ChangeQuery, EventModel
from intake.leads.listing import LeadQuery
from intake.leads.models import LeadWithCv, ListedLead
from intake.leads.searching import SearchQuery, SearchResults
from intake.leads.statistics import Statistics, StatsQuery
from intake.mail.admin import MailModel, MailQuery
from intake.request_models import PageQuery
from intake.users.accounts import ListedUser

_LINK = {"Link": '`<?…>; rel="next"`, if there is a next page.'}
_FILE = {"type": "string", "format": "binary", "examples": ["%PDF-1.7 …"]}
_BYTES = "application/octet-stream"  # the type for which generated clients return bytes, and not sent in each case
_CV_TYPES = (_BYTES, "*/*")

OPERATIONS = (
    Operation(
        path="/internal/leads/",
        endpoint=leads.get_leads,
        query=LeadQuery,
        response=ResponseSpec(
            200,
            "The leads.",
            [ListedLead],
            headers={
                "Link": 'With `limit`: `<?…>; rel="next"`, if there is a next page.',
                leads.OMITTED: "With `suspect=false`: the number of suspect leads on all pages.",
            },
        ),
        problems=(errors.SearchTimeout,),
    ),
    Operation(
        path="/internal/search",
        endpoint=leads.get_search,
        query=SearchQuery,
        response=ResponseSpec(200, "A page of leads, with the words that were found.", SearchResults),
        problems=(errors.SearchTimeout,),
    ),
    Operation(
        path="/internal/leads/{id}",
        endpoint=leads.get_lead,
        response=ResponseSpec(200, "The lead", LeadWithCv),
        problems=(errors.LeadNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/leads/",
        endpoint=leads.post_internal_lead,
        form=MANUAL_LEAD_FORM,
        response=ResponseSpec(201, "The lead was created.", LeadWithCv, headers={"Location": "The lead's URL."}),
        also=(
            ResponseSpec(200, "The person's lead with the external id exists; it is unchanged.", LeadWithCv),
            ResponseSpec(204, "With `dry_run`: a new lead would be created."),
        ),
        problems=(errors.ExternalIdTaken, errors.StorageUnavailable),
    ),
    Operation(
        method="PATCH",
        path="/internal/leads/{id}",
        endpoint=leads.patch_lead,
        body=StateChange,
        response=ResponseSpec(204, "The lead is in the new state."),
        problems=(errors.LeadNotFound, errors.StateConflict),
    ),
    Operation(
        method="POST",
        path="/internal/leads/{id}/clear-suspect",
        endpoint=leads.post_clear_suspect,
        response=ResponseSpec(
            204,
            "The lead is not suspect, and its mails are queued.",
            headers={"Suspect-Cleared": "`false` if it was not suspect; nothing has changed."},
        ),
        problems=(errors.LeadNotFound,),
    ),
    Operation(
        path="/internal/leads/{id}/cv-download",
        endpoint=leads.get_cv,
        query=CvQuery,
        response=ResponseSpec(
            200,
            "The file, with the media type detected from its content.",
            _FILE,
            media_types=_CV_TYPES,
            headers={
                "Content-Disposition": "RFC 6266: an attachment with its original name.",
                "ETag": "The file's SHA-256, in hexadecimal.",
                "Accept-Ranges": "`bytes`",
                "Repr-Digest": "RFC 9530: the file's SHA-256.",
            },
        ),
        also=(
            ResponseSpec(
                206, "The range.", _FILE, media_types=_CV_TYPES, headers={"Content-Range": "`bytes FIRST-LAST/SIZE`"}
            ),
            ResponseSpec(304, "The ETag matches If-None-Match."),
        ),
        headers={
            "Range": {
                "description": "RFC 9110: `bytes=N-M`, `bytes=N-` or `bytes=-N`; several ranges return the whole file."
            },
            "If-Range": {"description": "An ETag; if it does not match, the whole file is sent."},
            "If-None-Match": {"description": "ETags; 304 if one matches."},
        },
        problems=(
            errors.LeadNotFound,
            errors.ScanPending,
            errors.CvQuarantined,
            errors.CvTooLargeToScan,
            errors.RangeNotSatisfiable,
            errors.ChecksumMismatch,
            errors.StorageUnavailable,
        ),
    ),
    Operation(
        path="/internal/leads/{id}/cv-text",
        endpoint=leads.get_cv_text,
        response=ResponseSpec(200, "The text, or why there is none.", CvText),
        problems=(errors.LeadNotFound,),
    ),
    Operation(
        path="/internal/leads/{id}/history",
        endpoint=bulk_changes.get_history,
        response=ResponseSpec(200, "Its state changes, oldest first.", [EventModel]),
        problems=(errors.LeadNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/leads/state",
        endpoint=bulk_changes.post_leads_state,
        body=BulkChange,
        response=ResponseSpec(200, "Results in the order of the request.", Outcomes),
    ),
    Operation(
        path="/internal/changes",
        endpoint=bulk_changes.get_changes,
        query=ChangeQuery,
        response=ResponseSpec(200, "The changes.", [ChangeModel], headers=_LINK),
        problems=(errors.ChangeNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/changes/{id}/undo",
        endpoint=bulk_changes.post_undo,
        body=Undo,
        response=ResponseSpec(200, "Results for one page of leads.", UndoOutcomes),
        problems=(errors.ChangeNotFound, errors.ChangeByAnotherUser),
    ),
    Operation(
        path="/internal/mail",
        endpoint=mail.get_mail,
        query=MailQuery,
        response=ResponseSpec(200, "The mails.", [MailModel], headers=_LINK),
    ),
    Operation(
        method="POST",
        path="/internal/mail/retry",
        endpoint=mail.post_mail_retry,
        access=Access.ADMIN,
        body=MailRetry,
        response=ResponseSpec(200, "Results in the order of the request.", MailRetryResults),
    ),
    Operation(
        path="/internal/stats",
        endpoint=stats.get_stats,
        query=StatsQuery,
        response=ResponseSpec(200, "The numbers.", Statistics),
    ),
    Operation(
        method="POST",
        path="/internal/persons/erase",
        endpoint=privacy.post_persons_erase,
        access=Access.ADMIN,
        body=ErasureRequest,
        response=ResponseSpec(200, "The erased records.", ErasureResult),
        problems=(errors.PersonNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/persons/export",
        endpoint=privacy.post_persons_export,
        access=Access.ADMIN,
        body=PersonModel,
        response=ResponseSpec(
            200,
            "The zip, created while it is sent; an interrupted download is incomplete.",
            {"type": "string", "format": "binary", "examples": ["PK…"]},
            media_types=(_BYTES, "application/zip"),
            headers={"Content-Disposition": "RFC 6266: an attachment."},
        ),
        problems=(errors.PersonNotFound, errors.StorageUnavailable),
    ),
    Operation(
        method="POST",
        path="/internal/auth/register",
        endpoint=auth.post_register,
        access=Access.OPTIONAL,
        body=Registration,
        response=ResponseSpec(204, "The user was created."),
        problems=(errors.PermissionDenied, errors.UsernameTaken, errors.TooManyPendingLogins),
    ),
    Operation(
        method="POST",
        path="/internal/auth/login",
        endpoint=auth.post_login,
        access=Access.OPEN,
        body=Credentials,
        response=ResponseSpec(200, "A token", Token),
        problems=(
            errors.AuthenticationRequired,
            errors.LoginThrottled,
            errors.TooManyPendingLogins,
            errors.DatabaseUnavailable,
            errors.RateLimiterUnavailable,
        ),
    ),
    Operation(
        path="/internal/auth/me",
        endpoint=auth.get_me,
        response=ResponseSpec(200, "The user", UserModel),
    ),
    Operation(
        method="POST",
        path="/internal/auth/renew",
        endpoint=auth.post_renew,
        response=ResponseSpec(200, "A token", Token),
    ),
    Operation(
        method="PUT",
        path="/internal/auth/password",
        endpoint=auth.put_password,
        body=PasswordChange,
        response=ResponseSpec(200, "A token", Token),
        problems=(
            errors.PermissionDenied,
            errors.LoginThrottled,
            errors.TooManyPendingLogins,
            errors.RateLimiterUnavailable,
        ),
    ),
    Operation(
        path="/internal/users",
        endpoint=users.get_users,
        access=Access.ADMIN,
        query=PageQuery,
        response=ResponseSpec(200, "The users.", [ListedUser], headers=_LINK),
    ),
    Operation(
        method="PATCH",
        path="/internal/users/{name}",
        endpoint=users.patch_user,
        access=Access.ADMIN,
        body=UserChange,
        response=ResponseSpec(204, "The user was changed."),
        problems=(errors.UserNotFound, errors.LastAdministrator, errors.TooManyPendingLogins),
    ),
    Operation(
        path="/internal/audit",
        endpoint=audit.get_audit,
        access=Access.ADMIN,
        query=AuditQuery,
        response=ResponseSpec(200, "The entries.", [AuditEntryModel], headers=_LINK),
        problems=(errors.UserNotFound,),
    ),
)
