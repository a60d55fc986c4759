"""User accounts: creation, changes and permissions."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from pydantic import BaseModel
from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from intake.audit import LOCAL_ACTOR, Action, Actor, record
from intake.database import AdvisoryLock, Database, advisory_lock
from intake.database.ids import page_and_next
from intake.database.schema import user_account
from intake.errors import (
    AuthenticationRequired,
    FieldError,
    LastAdministrator,
    PermissionDenied,
    UsernameTaken,
    UserNotFound,
    ValidationError,
)
from intake.request_models import PageQuery
from intake.settings.parsers import MIN_PASSWORD_CHARACTERS
from intake.users.passwords import hash_password, password_fault
from intake.users.tokens import SESSION_S, Claims, TokenSigner

Role = Literal["admin", "attorney"]
ROLES: tuple[Role, ...] = get_args(Role)
MAX_CLOCK_ERROR_S = 60
MAX_USERNAME_CHARACTERS = 64
USERNAME_PATTERN = rf"^[A-Za-z0-9._@-]{{1,{MAX_USERNAME_CHARACTERS}}}$"
LOGIN_ENDED = "the token is no longer valid; log in again"


@dataclass(frozen=True)
class User:
    """The user of a request, with the claims of its token."""

    id: int
    username: str
    role: Role
    created_at: datetime
    claims: Claims

    @property
    def is_admin(self) -> bool:
        """Whether the user is an administrator."""
        return self.role == "admin"


def create_user(
    database: Database,
    *,
    username: str,
    password: str,
    role: str | None,
    min_characters: int = MIN_PASSWORD_CHARACTERS,
    actor: Actor = LOCAL_ACTOR,
) -> str:
    """Create an account and return its role; by default, admin if there is no administrator, else attorney.

    Raises ValidationError, UsernameTaken or DatabaseUnavailable.
    """
    weakness = password_fault(password, field="password", username=username, min_characters=min_characters)
    faults = [username_fault(username), weakness, _role_fault(role)]
    if found := [fault for fault in faults if fault]:
        raise ValidationError(*found)
    password_hash = hash_password(password)

    def work(connection: Connection) -> str:
        advisory_lock(connection, AdvisoryLock.ACCOUNTS)  # of concurrent creations, only the first becomes admin
        new_role = role or ("attorney" if _has_admin(connection) else "admin")
        account = insert(user_account).values(
            username=username, username_key=username.casefold(), password_hash=password_hash, role=new_role
        )
        number = connection.execute(account.returning(user_account.c.id)).scalar_one()
        record(connection, Action.REGISTRATION, actor, subject_id=number, detail=new_role)
        return new_role

    try:
        return database.write(work)
    except IntegrityError as error:
        raise UsernameTaken(f"the name {username!r} is taken") from error


def check_registration(*, by: User | None, open_to_all: bool, role: str | None) -> None:
    """Raise AuthenticationRequired or PermissionDenied unless `by` may create an account with that role."""
    if by is not None and by.is_admin:
        return
    if not open_to_all and by is None:
        raise AuthenticationRequired("administrator authentication required")
    if not open_to_all:
        raise PermissionDenied("only an administrator can register users")
    if role is not None:
        raise PermissionDenied("only an administrator can assign a role")


def authenticate(database: Database, signer: TokenSigner, *, token: str) -> User:
    """Return the user of a token. Raises AuthenticationRequired."""
    claims = signer.decode(token)
    row = _active_row(database, claims)
    return User(row["id"], row["username"], row["role"], row["created_at"], claims)


def check_active(database: Database, user: User) -> None:
    """Check again that a request's user has the access that it was authenticated with.

    The token's expiry is not checked again: a request may outlast it. Raises AuthenticationRequired if the user was
    disabled or got a new password meanwhile, or PermissionDenied if the user is no longer an administrator.
    """
    row = _active_row(database, user.claims)
    if user.is_admin and row["role"] != user.role:
        raise PermissionDenied("you are no longer an administrator")


def renew(signer: TokenSigner, *, by: User) -> str:
    """Return a new token of the same login. Raises AuthenticationRequired after SESSION_S seconds."""
    if time.time() >= by.claims.auth_time + SESSION_S:
        raise AuthenticationRequired(f"the login is {SESSION_S // 3600} hours old and can't be renewed; log in again")
    return signer.encode(by.claims)


class ListedUser(BaseModel):
    """A user, as administrators see one."""

    id: int
    username: str
    role: Role
    disabled: bool
    created_at: datetime


def list_users(database: Database, query: PageQuery) -> list[ListedUser]:
    """Return a page of users and the first of the next page. Raises DatabaseUnavailable."""
    columns = (user_account.c[name] for name in ListedUser.model_fields)
    statement = page_and_next(select(*columns), user_account.c.id, query)
    rows = database.read(lambda connection: connection.execute(statement).mappings().all())
    return [ListedUser(**row) for row in rows]


def update_user(
    database: Database,
    *,
    username: str,
    role: Role | None = None,
    disabled: bool | None = None,
    password: str | None = None,
    min_characters: int = MIN_PASSWORD_CHARACTERS,
    actor: Actor = LOCAL_ACTOR,
) -> None:
    """Change a user's role or password, or disable or enable the user; None changes nothing.

    Disabling the user or setting a password ends all existing tokens. Raises ValidationError, UserNotFound,
    LastAdministrator if no enabled administrator would remain, or DatabaseUnavailable.
    """
    if role is None and disabled is None and password is None:
        raise ValidationError(FieldError("body", "must contain role, disabled or password", "required"))
    if password is not None:
        check_password(password, field="password", username=username, min_characters=min_characters)
    changes: dict[str, object] = {"role": role, "disabled": disabled}
    values = {name: value for name, value in changes.items() if value is not None}
    if disabled:
        values["token_generation"] = user_account.c.token_generation + 1
    if password is not None:
        values |= new_password_values(password)

    def work(connection: Connection) -> None:
        advisory_lock(connection, AdvisoryLock.ACCOUNTS)  # serializes two administrators who disable each other
        before = find_account(connection, username)
        connection.execute(update(user_account).where(user_account.c.id == before["id"]).values(values))
        if (role or disabled) and not _has_admin(connection):
            raise LastAdministrator(f"{username!r} is the last enabled administrator; nothing was changed")
        for action, detail in _changes(before, actor, role=role, disabled=disabled, password=password):
            record(connection, action, actor, subject_id=before["id"], detail=detail)

    database.write(work)


def any_user(database: Database) -> bool:
    """Return whether any user exists."""
    query = select(user_account.c.id).limit(1)
    return database.read(lambda connection: connection.execute(query).first()) is not None


def _changes(
    before: RowMapping, actor: Actor, *, role: Role | None, disabled: bool | None, password: str | None
) -> Iterator[tuple[Action, str | None]]:
    """Yield the action and detail of each audit entry of a change."""
    if role is not None and role != before["role"]:
        yield Action.ROLE_CHANGE, f"{before['role']} to {role}"
    if disabled is not None and disabled != before["disabled"]:
        yield (Action.DISABLED if disabled else Action.ENABLED), None
    if password is not None:
        yield Action.PASSWORD, "on the server" if actor is LOCAL_ACTOR else "reset"


def new_password_values(password: str) -> dict[str, object]:
    """Return the column values for a new password, which ends all existing tokens."""
    return {"password_hash": hash_password(password), "token_generation": user_account.c.token_generation + 1}


def _has_admin(connection: Connection) -> bool:
    query = select(user_account.c.id).where(user_account.c.role == "admin", ~user_account.c.disabled).limit(1)
    return connection.execute(query).first() is not None


def get_account(connection: Connection, **key: object) -> RowMapping | None:
    """Return the account with this key, or None."""
    return connection.execute(select(user_account).filter_by(**key)).mappings().first()


def find_account(connection: Connection, username: str) -> RowMapping:
    """Return the user's account. Raises UserNotFound."""
    # the database has valid names only, and PostgreSQL rejects NUL
    row = None if username_fault(username) else get_account(connection, username_key=username.casefold())
    if row is None:
        raise UserNotFound(f"there is no user {username!r}")
    return row


def check_password(password: str, *, field: str, username: str, min_characters: int) -> None:
    """Raise ValidationError, naming `field`, if the user can't have the password."""
    if fault := password_fault(password, field=field, username=username, min_characters=min_characters):
        raise ValidationError(fault)


def username_fault(username: str) -> FieldError | None:
    """Return the fault in a username, or None."""
    if re.fullmatch(USERNAME_PATTERN, username):
        return None
    detail = f"must be 1 to {MAX_USERNAME_CHARACTERS} letters, digits, '.', '_', '-' or '@'"
    return FieldError("username", detail, "invalid_username", {"max": MAX_USERNAME_CHARACTERS})


def _role_fault(role: str | None) -> FieldError | None:
    if role is None or role in ROLES:
        return None
    return FieldError("role", f"must be one of {', '.join(ROLES)}", "not_one_of", {"choices": list(ROLES)})


def _active_row(database: Database, claims: Claims) -> RowMapping:
    row = database.read(lambda connection: get_account(connection, id=claims.user_id))
    if (
        row is None
        or row["disabled"]
        or row["token_generation"] != claims.generation
        # a restored database uses ids again; its clock may be ahead of this one's
        or row["created_at"].timestamp() > claims.auth_time + MAX_CLOCK_ERROR_S
    ):
        raise AuthenticationRequired(LOGIN_ENDED)
    return row
