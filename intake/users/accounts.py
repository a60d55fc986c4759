"""Accounts: making and changing them, proving to be one, and what each may do."""

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict, cast, get_args

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from intake.database import Database, serialised
from intake.database.ids import page_by_id
from intake.database.schema import user_account
from intake.errors import (
    FieldFault,
    InvalidFields,
    LastAdministrator,
    NotAllowed,
    NotAuthenticated,
    UsernameTaken,
    UserNotFound,
)
from intake.users.passwords import hash_password, matches, password_fault
from intake.users.tokens import SESSION_S, Claims, TokenKeys

Role = Literal["admin", "attorney"]
ROLES: tuple[Role, ...] = get_args(Role)
ACCOUNTS_LOCK = 0x1EADC72
_ENDED = "the token is not valid any more; log in again"


@dataclass(frozen=True)
class User:
    """Who a request is from, and what the token says that it showed."""

    id: int
    username: str
    role: Role
    created_at: datetime
    claims: Claims

    @property
    def is_admin(self) -> bool:
        """Whether this user may manage others."""
        return self.role == "admin"


def create(database: Database, *, username: str, password: str, role: str | None) -> str:
    """Make an account and return its role: `role`, or without one admin while there is none, else attorney.

    Raises InvalidFields, UsernameTaken or DatabaseUnavailable.
    """
    faults = [_username_fault(username), password_fault(password, field="password"), _role_fault(role)]
    if found := [fault for fault in faults if fault]:
        raise InvalidFields(*found)
    password_hash = hash_password(password)

    def work(connection: Connection) -> str:
        serialised(connection, ACCOUNTS_LOCK)  # of two that are made at once, one is first
        given = role or ("attorney" if _has_admin(connection) else "admin")
        connection.execute(
            insert(user_account).values(
                username=username, username_key=username.casefold(), password_hash=password_hash, role=given
            )
        )
        return given

    try:
        return database.write(work)
    except IntegrityError as error:
        raise UsernameTaken(f"the name {username!r} is taken") from error


def register(
    database: Database, *, by: User | None, open_to_all: bool, username: str, password: str, role: str | None
) -> None:
    """Make an account for somebody else, or for oneself where registration is open to all.

    Raises NotAuthenticated, NotAllowed, InvalidFields, UsernameTaken or DatabaseUnavailable.
    """
    is_admin = by is not None and by.is_admin
    if not is_admin and not open_to_all:
        if by is None:
            raise NotAuthenticated("registering a user needs an administrator's token")
        raise NotAllowed("only an administrator may register users")
    if not is_admin and role is not None:
        raise NotAllowed("only an administrator may give a role")
    create(database, username=username, password=password, role="attorney" if role is None else role)


def log_in(database: Database, keys: TokenKeys, *, username: str, password: str) -> str:
    """Return a token for the user who has that name and password.

    Raises NotAuthenticated: the same, and after the same time, for a wrong name and a wrong password.
    """
    row = None
    if _username_fault(username) is None:  # no other is in the database, and PostgreSQL takes no NUL
        row = database.read(lambda connection: _row(connection, username_key=username.casefold()))
    known = matches(password, row["password_hash"] if row else None)
    if row is None or not known or row["disabled"]:
        raise NotAuthenticated("wrong username or password")
    return keys.issue(Claims(row["id"], int(time.time()), row["token_generation"]))


def authenticate(database: Database, keys: TokenKeys, *, token: str) -> User:
    """Return the user whom the token stands for. Raises NotAuthenticated."""
    claims = keys.read(token)
    row = database.read(lambda connection: _row(connection, id=claims.user_id))
    if row is None or row["disabled"] or row["token_generation"] != claims.generation:
        raise NotAuthenticated(_ENDED)
    return User(row["id"], row["username"], row["role"], row["created_at"], claims)


def renew(keys: TokenKeys, *, by: User) -> str:
    """Return a new token of the same login. Raises NotAuthenticated where that is SESSION_S seconds ago."""
    if time.time() >= by.claims.auth_time + SESSION_S:
        raise NotAuthenticated(f"the login is {SESSION_S // 3600} hours old and can't be renewed; log in again")
    return keys.issue(by.claims)


def change_password(database: Database, keys: TokenKeys, *, by: User, old: str, new: str) -> str:
    """Give the user a new password, end every token of the old one, and return one of the new.

    Raises InvalidFields, NotAllowed where the old one is wrong, NotAuthenticated or DatabaseUnavailable.
    """
    if fault := password_fault(new, field="new"):
        raise InvalidFields(fault)
    row = database.read(lambda connection: _row(connection, id=by.id))
    if not matches(old, row["password_hash"] if row else None):
        raise NotAllowed("the old password is wrong")
    # of two changes at once, and of one and an administrator's, the first ends the other's token
    change = (
        update(user_account)
        .where(user_account.c.id == by.id, user_account.c.token_generation == by.claims.generation)
        .values(**_with_password(new))
    )
    if database.write(lambda connection: connection.execute(change).rowcount) == 0:
        raise NotAuthenticated(_ENDED)
    return keys.issue(Claims(by.id, int(time.time()), by.claims.generation + 1))


def set_password(database: Database, *, username: str, password: str) -> None:
    """Give the user a new password, and end every token of the old one. Raises InvalidFields or UserNotFound."""
    if fault := _username_fault(username) or password_fault(password, field="password"):
        raise InvalidFields(fault)
    values = _with_password(password)
    database.write(lambda connection: _update(connection, username, values))


class UserRecord(TypedDict):
    """A user, as administrators see one."""

    id: int
    username: str
    role: Role
    disabled: bool
    created_at: datetime


def find(database: Database, *, after: int | None, newest_first: bool, limit: int) -> list[UserRecord]:
    """Return up to `limit` users, by id, going on after one. Raises DatabaseUnavailable."""
    columns = (user_account.c[name] for name in UserRecord.__annotations__)
    query = page_by_id(select(*columns), user_account.c.id, after=after, newest_first=newest_first, limit=limit)
    rows = database.read(lambda connection: connection.execute(query).mappings().all())
    return [cast("UserRecord", {str(name): value for name, value in row.items()}) for row in rows]


def change(
    database: Database,
    *,
    username: str,
    role: Role | None = None,
    disabled: bool | None = None,
    password: str | None = None,
) -> None:
    """Give the user another role or password, disable or enable it; None leaves what is.

    Who is disabled or gets a password loses every token. Raises InvalidFields, UserNotFound, LastAdministrator where
    no administrator would be left who is not disabled, or DatabaseUnavailable.
    """
    if role is None and disabled is None and password is None:
        raise InvalidFields(FieldFault("body", "must hold a role, disabled, or a password"))
    if fault := password_fault(password, field="password") if password is not None else None:
        raise InvalidFields(fault)
    given: dict[str, object] = {"role": role, "disabled": disabled}
    values = {name: value for name, value in given.items() if value is not None}
    if disabled:
        values["token_generation"] = user_account.c.token_generation + 1
    if password is not None:
        values |= _with_password(password)

    def work(connection: Connection) -> None:
        serialised(connection, ACCOUNTS_LOCK)  # two administrators who disable each other take turns
        _update(connection, username, values)
        if not _has_admin(connection):
            raise LastAdministrator(f"{username!r} is the last administrator who is not disabled")

    database.write(work)


def any_user(database: Database) -> bool:
    """Return whether there is a user at all."""
    query = select(user_account.c.id).limit(1)
    return database.read(lambda connection: connection.execute(query).first()) is not None


def _update(connection: Connection, username: str, values: dict[str, object]) -> None:
    statement = update(user_account).where(user_account.c.username_key == username.casefold()).values(values)
    # no other name is in the database, and PostgreSQL takes no NUL
    if _username_fault(username) or connection.execute(statement).rowcount == 0:
        raise UserNotFound(f"there is no user {username!r}")


def _with_password(password: str) -> dict[str, object]:
    return {"password_hash": hash_password(password), "token_generation": user_account.c.token_generation + 1}


def _has_admin(connection: Connection) -> bool:
    query = select(user_account.c.id).where(user_account.c.role == "admin", ~user_account.c.disabled).limit(1)
    return connection.execute(query).first() is not None


def _row(connection: Connection, **key: object) -> RowMapping | None:
    return connection.execute(select(user_account).filter_by(**key)).mappings().first()


def _username_fault(username: str) -> FieldFault | None:
    if re.fullmatch(r"[A-Za-z0-9._@-]{1,64}", username):
        return None
    return FieldFault("username", "must be 1 to 64 of letters, digits, '.', '_', '-' and '@'")


def _role_fault(role: str | None) -> FieldFault | None:
    if role is None or role in ROLES:
        return None
    return FieldFault("role", f"must be one of {', '.join(ROLES)}")
