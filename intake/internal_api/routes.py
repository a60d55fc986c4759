"""Operations of the internal API; by default they require a user."""

from intake.audit import AuditEntryModel, AuditQuery
from intake.errors import (
    AuthenticationRequired,
    ChangeByAnotherUser,
    ChangeNotFound,
    ChecksumMismatch,
    CvQuarantined,
    CvTooLargeToScan,
    DatabaseUnavailable,
    LastAdministrator,
    LeadNotFound,
    LoginThrottled,
    PermissionDenied,
    PersonNotFound,
    RangeNotSatisfiable,
    RateLimiterUnavailable,
    ScanPending,
    StateConflict,
    StorageUnavailable,
    TooManyPendingLogins,
    UsernameTaken,
    UserNotFound,
)
from intake.http.routing import Access, Operation, ResponseSpec
from intake.internal_api import audit, auth, bulk_changes, leads, mail, privacy, stats, users
from intake.internal_api.schemas.bulk_changes import BulkChange, Outcomes, Undo, UndoOutcomes
from intake.internal_api.schemas.leads import MANUAL_LEAD_FORM, CvQuery, StateChange
from intake.internal_api.schemas.mail import MailRetry, MailRetryResults
from intake.internal_api.schemas.privacy import ErasureRequest, ErasureResult, PersonModel
from intake.internal_api.schemas.stats import Statistics
from intake.internal_api.schemas.users import (
    Credentials,
    PasswordChange,
    Registration,
    Token,
    UserChange,
    UserModel,
)
from intake.leads.history import ChangeModel, ChangeQuery, EventModel
from intake.leads.listing import LeadQuery
from intake.leads.models import LeadModel, LeadWithCv
from intake.mail.admin import MailModel, MailQuery
from intake.request_models import PageQuery
from intake.users.accounts import ListedUser

_LINK = {"Link": '`<?…>; rel="next"`, if there is a next page.'}
_FILE = {"type": "string", "format": "binary", "examples": ["%PDF-1.7 …"]}
_BYTES = "application/octet-stream"  # the type for which generated clients return bytes, and not sent in each case
_CV_TYPES = (_BYTES, "*/*")

OPERATIONS = (
    Operation(
        method="GET",
        path="/internal/leads/",
        endpoint=leads.get_leads,
        summary="All leads that match the filters, or a page of them.",
        query=LeadQuery,
        answer=ResponseSpec(
            200,
            "The leads.",
            [LeadModel],
            headers={"Link": 'With `limit`: `<?…>; rel="next"`, if there is a next page.'},
        ),
    ),
    Operation(
        method="GET",
        path="/internal/leads/{id}",
        endpoint=leads.get_lead,
        summary="One lead.",
        answer=ResponseSpec(200, "The lead", LeadWithCv),
        problems=(LeadNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/leads/",
        endpoint=leads.post_internal_lead,
        summary="Create a lead: a walk-in, or an import from another system.",
        form=MANUAL_LEAD_FORM,
        answer=ResponseSpec(201, "The lead was created.", LeadWithCv, headers={"Location": "The lead's URL."}),
        also=(
            ResponseSpec(200, "A lead with the external id exists; it is unchanged.", LeadWithCv),
            ResponseSpec(204, "With `dry_run`: a new lead would be created."),
        ),
        problems=(StorageUnavailable,),
    ),
    Operation(
        method="PATCH",
        path="/internal/leads/{id}",
        endpoint=leads.patch_lead,
        summary="Change the state of a lead.",
        body=StateChange,
        answer=ResponseSpec(204, "The lead is in the new state."),
        problems=(LeadNotFound, StateConflict),
    ),
    Operation(
        method="GET",
        path="/internal/leads/{id}/cv-download",
        endpoint=leads.get_cv,
        summary="Download a CV, or one range of it.",
        query=CvQuery,
        answer=ResponseSpec(
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
            *(LeadNotFound, ScanPending, CvQuarantined, CvTooLargeToScan),
            *(RangeNotSatisfiable, ChecksumMismatch, StorageUnavailable),
        ),
    ),
    Operation(
        method="GET",
        path="/internal/leads/{id}/history",
        endpoint=bulk_changes.get_history,
        summary="History of a lead.",
        answer=ResponseSpec(200, "Its state changes, oldest first.", [EventModel]),
        problems=(LeadNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/leads/state",
        endpoint=bulk_changes.post_leads_state,
        summary="Change the state of many leads, in one transaction.",
        body=BulkChange,
        answer=ResponseSpec(200, "Results in the order of the request.", Outcomes),
    ),
    Operation(
        method="GET",
        path="/internal/changes",
        endpoint=bulk_changes.get_changes,
        summary="A page of bulk changes, newest first.",
        query=ChangeQuery,
        answer=ResponseSpec(200, "The changes.", [ChangeModel], headers=_LINK),
        problems=(ChangeNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/changes/{id}/undo",
        endpoint=bulk_changes.post_undo,
        summary="Undo a change for all leads that have not changed since.",
        body=Undo,
        answer=ResponseSpec(200, "Results for one page of leads.", UndoOutcomes),
        problems=(ChangeNotFound, ChangeByAnotherUser),
    ),
    Operation(
        method="GET",
        path="/internal/mail",
        endpoint=mail.get_mail,
        summary="A page of mails.",
        query=MailQuery,
        answer=ResponseSpec(200, "The mails.", [MailModel], headers=_LINK),
    ),
    Operation(
        method="POST",
        path="/internal/mail/retry",
        endpoint=mail.post_mail_retry,
        summary="Queue failed mails again.",
        access=Access.ADMIN,
        body=MailRetry,
        answer=ResponseSpec(200, "Results in the order of the request.", MailRetryResults),
    ),
    Operation(
        method="GET",
        path="/internal/stats",
        endpoint=stats.get_stats,
        summary="Numbers of leads per state and day, and of unsent mails.",
        answer=ResponseSpec(200, "The numbers.", Statistics),
    ),
    Operation(
        method="POST",
        path="/internal/persons/erase",
        endpoint=privacy.post_persons_erase,
        summary="Erase all data of a person: leads, CVs, history and mails.",
        access=Access.ADMIN,
        body=ErasureRequest,
        answer=ResponseSpec(200, "The erased records.", ErasureResult),
        problems=(PersonNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/persons/export",
        endpoint=privacy.post_persons_export,
        summary="Export all data of a person as a zip of JSON and CVs.",
        access=Access.ADMIN,
        body=PersonModel,
        answer=ResponseSpec(
            200,
            "The zip, created while it is sent; an interrupted download is incomplete.",
            {"type": "string", "format": "binary", "examples": ["PK…"]},
            media_types=(_BYTES, "application/zip"),
            headers={"Content-Disposition": "RFC 6266: an attachment."},
        ),
        problems=(PersonNotFound, StorageUnavailable),
    ),
    Operation(
        method="POST",
        path="/internal/auth/register",
        endpoint=auth.post_register,
        summary="Create a user; for administrators, or for everyone if registration is open.",
        access=Access.OPTIONAL,
        body=Registration,
        answer=ResponseSpec(204, "The user was created."),
        problems=(PermissionDenied, UsernameTaken, TooManyPendingLogins),
    ),
    Operation(
        method="POST",
        path="/internal/auth/login",
        endpoint=auth.post_login,
        summary="Log in.",
        access=Access.OPEN,
        body=Credentials,
        answer=ResponseSpec(200, "A token", Token),
        problems=(
            AuthenticationRequired,
            LoginThrottled,
            TooManyPendingLogins,
            DatabaseUnavailable,
            RateLimiterUnavailable,
        ),
    ),
    Operation(
        method="GET",
        path="/internal/auth/me",
        endpoint=auth.get_me,
        summary="The authenticated user.",
        answer=ResponseSpec(200, "The user", UserModel),
    ),
    Operation(
        method="POST",
        path="/internal/auth/renew",
        endpoint=auth.post_renew,
        summary="Renew a valid token, up to 12 hours after the login.",
        answer=ResponseSpec(200, "A token", Token),
    ),
    Operation(
        method="PUT",
        path="/internal/auth/password",
        endpoint=auth.put_password,
        summary="Change your own password; older tokens are revoked.",
        body=PasswordChange,
        answer=ResponseSpec(200, "A token", Token),
        problems=(PermissionDenied, LoginThrottled, TooManyPendingLogins, RateLimiterUnavailable),
    ),
    Operation(
        method="GET",
        path="/internal/users",
        endpoint=users.get_users,
        summary="A page of users.",
        access=Access.ADMIN,
        query=PageQuery,
        answer=ResponseSpec(200, "The users.", [ListedUser], headers=_LINK),
    ),
    Operation(
        method="PATCH",
        path="/internal/users/{name}",
        endpoint=users.patch_user,
        summary="Change a user's role, password or status; disabling or a new password revokes all tokens.",
        access=Access.ADMIN,
        body=UserChange,
        answer=ResponseSpec(204, "The user was changed."),
        problems=(UserNotFound, LastAdministrator, TooManyPendingLogins),
    ),
    Operation(
        method="GET",
        path="/internal/audit",
        endpoint=audit.get_audit,
        summary="A page of the audit trail.",
        access=Access.ADMIN,
        query=AuditQuery,
        answer=ResponseSpec(200, "The entries.", [AuditEntryModel], headers=_LINK),
        problems=(UserNotFound,),
    ),
)
