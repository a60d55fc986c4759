"""The internal door's table. What does not say so is closed to all but users."""

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
from intake.internal_api.schemas.privacy import ErasureModel, ErasureRequest, PersonModel
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

_LINK = {"Link": '`<?…>; rel="next"`, where there are more.'}
_FILE = {"type": "string", "format": "binary"}

OPERATIONS = (
    Operation(
        method="GET",
        path="/internal/leads/",
        endpoint=leads.get_leads,
        summary="Every lead that matches all of the filters, or a page of them.",
        query=LeadQuery,
        answer=ResponseSpec(
            200, "The leads.", [LeadModel], headers={"Link": 'With `limit`: `<?…>; rel="next"`, where there are more.'}
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
        summary="Enter a lead: a walk-in, or one that another system kept before.",
        form=MANUAL_LEAD_FORM,
        answer=ResponseSpec(201, "The lead is kept.", LeadWithCv, headers={"Location": "Where it is."}),
        also=(
            ResponseSpec(200, "The lead that is kept under the external id already, as it is.", LeadWithCv),
            ResponseSpec(204, "With `dry_run`: a new lead would be saved."),
        ),
        problems=(StorageUnavailable,),
    ),
    Operation(
        method="PATCH",
        path="/internal/leads/{id}",
        endpoint=leads.patch_lead,
        summary="Move a lead to another state.",
        body=StateChange,
        answer=ResponseSpec(204, "The lead is in that state."),
        problems=(LeadNotFound, StateConflict),
    ),
    Operation(
        method="GET",
        path="/internal/leads/{id}/cv-download",
        endpoint=leads.get_cv,
        summary="A lead's CV, to save: whole, or one range of it.",
        query=CvQuery,
        answer=ResponseSpec(
            200,
            "The file, in the media type that its content speaks of.",
            _FILE,
            media_type="*/*",
            headers={
                "Content-Disposition": "RFC 6266: an attachment, with the name that its sender gave it.",
                "ETag": "The file's SHA-256, in hexadecimal.",
                "Accept-Ranges": "`bytes`",
                "Repr-Digest": "RFC 9530: the same.",
            },
        ),
        also=(
            ResponseSpec(
                206, "The range.", _FILE, media_type="*/*", headers={"Content-Range": "`bytes FIRST-LAST/SIZE`"}
            ),
            ResponseSpec(304, "With If-None-Match: it is the one that one has."),
        ),
        headers={
            "Range": "RFC 9110: `bytes=N-M`, `bytes=N-` or `bytes=-N`; of several, the whole is sent.",
            "If-Range": "An ETag: the whole is sent where the file is another.",
            "If-None-Match": "ETags: 304 where the file is one of theirs.",
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
        summary="Who changed a lead, and when.",
        answer=ResponseSpec(200, "Its changes, oldest first.", [EventModel]),
        problems=(LeadNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/leads/state",
        endpoint=bulk_changes.post_leads_state,
        summary="Move many leads to another state, in one transaction.",
        body=BulkChange,
        answer=ResponseSpec(200, "What came of each.", Outcomes),
    ),
    Operation(
        method="GET",
        path="/internal/changes",
        endpoint=bulk_changes.get_changes,
        summary="A page of the changes of many leads, newest first.",
        query=ChangeQuery,
        answer=ResponseSpec(200, "The changes.", [ChangeModel], headers=_LINK),
        problems=(ChangeNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/changes/{id}/undo",
        endpoint=bulk_changes.post_undo,
        summary="Put back what a change did, wherever nobody moved the lead since.",
        body=Undo,
        answer=ResponseSpec(200, "What came of each lead of a page.", UndoOutcomes),
        problems=(ChangeNotFound, ChangeByAnotherUser),
    ),
    Operation(
        method="GET",
        path="/internal/mail",
        endpoint=mail.get_mail,
        summary="A page of the mails that are owed, were sent, or were given up.",
        query=MailQuery,
        answer=ResponseSpec(200, "The mails.", [MailModel], headers=_LINK),
    ),
    Operation(
        method="POST",
        path="/internal/mail/retry",
        endpoint=mail.post_mail_retry,
        summary="Make dead mails owed again.",
        access=Access.ADMIN,
        body=MailRetry,
        answer=ResponseSpec(200, "What came of each.", MailRetryResults),
    ),
    Operation(
        method="GET",
        path="/internal/stats",
        endpoint=stats.get_stats,
        summary="How many leads are in each state and came on each day, and what mail is not sent.",
        answer=ResponseSpec(200, "The numbers.", Statistics),
    ),
    Operation(
        method="POST",
        path="/internal/persons/erase",
        endpoint=privacy.post_persons_erase,
        summary="Erase all that is kept of a person: leads, CVs, history and mails.",
        access=Access.ADMIN,
        body=ErasureRequest,
        answer=ResponseSpec(200, "What was erased.", ErasureModel),
        problems=(PersonNotFound,),
    ),
    Operation(
        method="POST",
        path="/internal/persons/export",
        endpoint=privacy.post_persons_export,
        summary="All that is kept of a person, as a zip of JSON and CVs.",
        access=Access.ADMIN,
        body=PersonModel,
        answer=ResponseSpec(
            200,
            "The zip, made while it is sent: one that breaks off is not whole.",
            _FILE,
            media_type="application/zip",
            headers={"Content-Disposition": "RFC 6266: an attachment."},
        ),
        problems=(PersonNotFound, StorageUnavailable),
    ),
    Operation(
        method="POST",
        path="/internal/auth/register",
        endpoint=auth.post_register,
        summary="Make a user: for administrators, or for anyone where registration is open.",
        access=Access.ADAPTIVE,
        body=Registration,
        answer=ResponseSpec(204, "The user is made."),
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
        summary="Who the token stands for.",
        answer=ResponseSpec(200, "The user", UserModel),
    ),
    Operation(
        method="POST",
        path="/internal/auth/renew",
        endpoint=auth.post_renew,
        summary="A new token for one that is still good, up to 12 hours after the login.",
        answer=ResponseSpec(200, "A token", Token),
    ),
    Operation(
        method="PUT",
        path="/internal/auth/password",
        endpoint=auth.put_password,
        summary="Change one's own password. Every older token ends.",
        body=PasswordChange,
        answer=ResponseSpec(200, "A token", Token),
        problems=(PermissionDenied, LoginThrottled, TooManyPendingLogins, RateLimiterUnavailable),
    ),
    Operation(
        method="GET",
        path="/internal/users",
        endpoint=users.get_users,
        summary="A page of the users.",
        access=Access.ADMIN,
        query=PageQuery,
        answer=ResponseSpec(
            200, "The users.", [ListedUser], headers={"Link": '`<?…>; rel="next"`, where there are more.'}
        ),
    ),
    Operation(
        method="PATCH",
        path="/internal/users/{name}",
        endpoint=users.patch_user,
        summary="Change a user's role or password, disable or enable one. What ends a login ends every token.",
        access=Access.ADMIN,
        body=UserChange,
        answer=ResponseSpec(204, "The user is changed."),
        problems=(UserNotFound, LastAdministrator, TooManyPendingLogins),
    ),
    Operation(
        method="GET",
        path="/internal/audit",
        endpoint=audit.get_audit,
        summary="A page of the audit trail: who did what, when and from where.",
        access=Access.ADMIN,
        query=AuditQuery,
        answer=ResponseSpec(200, "The entries.", [AuditEntryModel], headers=_LINK),
        problems=(UserNotFound,),
    ),
)
