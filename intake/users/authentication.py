"""Password authentication: logins, password changes, and login priority."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import Connection, select, update

from intake.audit import LOCAL_ACTOR, Action, Actor, record
from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import installation, user_account
from intake.errors import AuthenticationRequired, PermissionDenied, UserNotFound
from intake.settings.parsers import MIN_PASSWORD_CHARACTERS
from intake.users.accounts import (
    LOGIN_ENDED,
    User,
    check_password,
    find_account,
    get_account,
    new_password_values,
)
from intake.users.login_throttle import MAX_ALLOWED, MAX_ALLOWED_ANYWHERE
from intake.users.passwords import verify_password
from intake.users.tokens import Claims, TokenSigner

READ_EVERY_S = 0.25


def log_in(
    database: Database,
    signer: TokenSigner,
    *,
    username: str,
    password: str,
    actor: Actor = LOCAL_ACTOR,
    should_audit_unknown: Callable[[], bool] = lambda: True,
) -> str:
    """Return a token for the user with that name and password.

    If `should_audit_unknown()`, a failure with an unknown name is audited, without the name, because people type
    passwords there by mistake. Raises DatabaseUnavailable or AuthenticationRequired; the latter is the same, and takes
    the same time, for a wrong name and a wrong password.
    """
    row = None
    with suppress(UserNotFound):
        row = database.read(lambda connection: find_account(connection, username))
    is_right = verify_password(password, row["password_hash"] if row else None)
    if row is not None and is_right and not row["disabled"]:
        database.write(lambda connection: record(connection, Action.LOGIN, replace(actor, user_id=row["id"])))
        return signer.encode(Claims(row["id"], int(time.time()), row["token_generation"]))
    if should_audit_unknown() or row is not None:  # asked for every name, since asking takes time
        _record_failure(database, actor, row["id"] if row else None, detail="disabled" if row and is_right else None)
    else:  # also a commit, or a known name would take longer; SQLite skips an update that sets no key
        database.write(lambda connection: connection.execute(update(installation).values(id=installation.c.id)))
    raise AuthenticationRequired("wrong username or password")


def change_password(
    database: Database,
    signer: TokenSigner,
    *,
    by: User,
    old: str,
    new: str,
    min_characters: int = MIN_PASSWORD_CHARACTERS,
    actor: Actor = LOCAL_ACTOR,
) -> str:
    """Change the user's password, end all existing tokens, and return a new one.

    Raises ValidationError, PermissionDenied if the old password is wrong, AuthenticationRequired or
    DatabaseUnavailable.
    """
    check_password(new, field="new", username=by.username, min_characters=min_characters)
    row = database.read(lambda connection: get_account(connection, id=by.id))
    if not verify_password(old, row["password_hash"] if row else None):
        _record_failure(database, actor, by.id, detail="old password")
        raise PermissionDenied("the old password is wrong")
    # of two concurrent changes, also by an administrator, the first ends the token of the second
    change = (
        update(user_account)
        .where(user_account.c.id == by.id, user_account.c.token_generation == by.claims.generation)
        .values(**new_password_values(new))
    )

    def work(connection: Connection) -> bool:
        if connection.execute(change).rowcount == 0:
            return False
        record(connection, Action.PASSWORD, actor, subject_id=by.id, detail="own")
        return True

    if not database.write(work):
        raise AuthenticationRequired(LOGIN_ENDED)
    return signer.encode(Claims(by.id, int(time.time()), by.claims.generation + 1))


def allow(database: Database, *, username: str, for_s: float, client: str | None = None) -> None:
    """Give the user's logins priority, without delays after wrong passwords, for `for_s` seconds.

    With the key of a client, this applies to its logins only, and attempts from elsewhere don't count.
    Raises UserNotFound, PermissionDenied if the user is disabled, or DatabaseUnavailable.
    """

    def work(connection: Connection) -> None:
        row = find_account(connection, username)
        if row["disabled"]:
            raise PermissionDenied(
                f"{username!r} is disabled; an administrator can run: leadctl users enable {username}"
            )
        values = {"login_allowed_until": Now(plus_s=for_s), "login_allowed_from": client}
        connection.execute(update(user_account).where(user_account.c.id == row["id"]).values(values))
        detail = f"for {for_s:.0f} s" + (f", from {client}" if client else "")
        record(connection, Action.LOGIN_ALLOWED, LOCAL_ACTOR, subject_id=row["id"], detail=detail)

    database.write(work)


class AllowedLogins:
    """The users whose logins have priority, read from the database every READ_EVERY_S seconds.

    A read for each login would let anyone who guesses passwords slow down everybody else.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._clients: dict[str, str | None] = {}  # by user name; None is any client
        self._read_at = -READ_EVERY_S
        self._lock = threading.Lock()

    def tries(self, username: str, client: str) -> int:
        """Return how many of the user's logins per minute have priority at the client. Raises DatabaseUnavailable."""
        with self._lock:
            if time.monotonic() >= self._read_at + READ_EVERY_S:
                columns = user_account.c.username_key, user_account.c.login_allowed_from
                query = select(*columns).where(user_account.c.login_allowed_until > Now())
                rows = self._database.read(lambda connection: connection.execute(query).all())
                self._clients = {row.username_key: row.login_allowed_from for row in rows}
                self._read_at = time.monotonic()
            if username.casefold() not in self._clients:
                return 0
            allowed = self._clients[username.casefold()]
        return MAX_ALLOWED_ANYWHERE if allowed is None else MAX_ALLOWED if allowed == client else 0


def _record_failure(database: Database, actor: Actor, subject_id: int | None, *, detail: str | None) -> None:
    """Audit a wrong password in its own transaction."""
    database.write(
        lambda connection: record(connection, Action.LOGIN_FAILED, actor, subject_id=subject_id, detail=detail)
    )
