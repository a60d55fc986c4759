"""The internal door's table. What does not say so is closed to all but users."""

from intake.errors import (
    CvDamaged,
    DatabaseUnavailable,
    LeadNotFound,
    NotAllowed,
    NotAuthenticated,
    StateConflict,
    StorageUnavailable,
    UsernameTaken,
)
from intake.internal_api import auth, leads, mail
from intake.internal_api.schemas import (
    Credentials,
    LeadModel,
    LeadQuery,
    LeadWithCv,
    MailModel,
    MailQuery,
    MailRetry,
    MailRetryResults,
    Registration,
    StateChange,
    Token,
    UserModel,
)
from intake.web.routing import Access, Answer, Operation

OPERATIONS = (
    Operation(
        method="GET",
        path="/internal/leads/",
        endpoint=leads.get_leads,
        summary="Every lead that matches all of the filters, or a page of them.",
        query=LeadQuery,
        answer=Answer(
            200, "The leads.", [LeadModel], headers={"Link": 'With `limit`: `<?…>; rel="next"`, where there are more.'}
        ),
    ),
    Operation(
        method="GET",
        path="/internal/leads/{id}",
        endpoint=leads.get_lead,
        summary="One lead.",
        answer=Answer(200, "The lead", LeadWithCv),
        problems=(LeadNotFound,),
    ),
    Operation(
        method="PATCH",
        path="/internal/leads/{id}",
        endpoint=leads.patch_lead,
        summary="Move a lead to another state.",
        body=StateChange,
        answer=Answer(204, "The lead is in that state."),
        problems=(LeadNotFound, StateConflict),
    ),
    Operation(
        method="GET",
        path="/internal/leads/{id}/cv-download",
        endpoint=leads.get_cv,
        summary="A lead's CV, to save. With If-None-Match, 304 where it is the one that one has.",
        answer=Answer(
            200,
            "The file, in the media type that its content speaks of.",
            {"type": "string", "format": "binary"},
            media_type="*/*",
            headers={
                "Content-Disposition": "RFC 6266: an attachment, with the name that its sender gave it.",
                "ETag": "The file's SHA-256, in hexadecimal.",
                "Repr-Digest": "RFC 9530: the same.",
            },
        ),
        not_modified=True,
        problems=(LeadNotFound, CvDamaged, StorageUnavailable),
    ),
    Operation(
        method="GET",
        path="/internal/mail",
        endpoint=mail.get_mail,
        summary="A page of the mails that are owed, were sent, or were given up.",
        query=MailQuery,
        answer=Answer(200, "The mails.", [MailModel], headers={"Link": '`<?…>; rel="next"`, where there are more.'}),
    ),
    Operation(
        method="POST",
        path="/internal/mail/retry",
        endpoint=mail.post_mail_retry,
        summary="Make dead mails owed again.",
        access=Access.ADMIN,
        body=MailRetry,
        answer=Answer(200, "What came of each.", MailRetryResults),
    ),
    Operation(
        method="POST",
        path="/internal/auth/register",
        endpoint=auth.post_register,
        summary="Make a user: for administrators, or for anyone where registration is open.",
        access=Access.ADAPTIVE,
        hashes=True,
        body=Registration,
        answer=Answer(204, "The user is made."),
        problems=(NotAllowed, UsernameTaken),
    ),
    Operation(
        method="POST",
        path="/internal/auth/login",
        endpoint=auth.post_login,
        summary="Log in.",
        access=Access.OPEN,
        hashes=True,
        body=Credentials,
        answer=Answer(200, "A token", Token),
        problems=(NotAuthenticated, DatabaseUnavailable),
    ),
    Operation(
        method="GET",
        path="/internal/auth/me",
        endpoint=auth.get_me,
        summary="Who the token stands for.",
        answer=Answer(200, "The user", UserModel),
    ),
)
