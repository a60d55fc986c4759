"""The token to show while a command runs: given, kept and renewed in time, or had for a password-command's password."""

import math
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from leadctl.configuration.credentials import Credentials, Profile
from leadctl.errors import LeadctlError, PermissionDenied

if TYPE_CHECKING:  # importing it costs 95 ms, which a command that makes no request need not pay
    from leadctl.api import Api, Login

RENEW_WITHIN_S = 10 * 60
TRY_AGAIN_AFTER_S = 30
PASSWORD_COMMAND_WITHIN_S = 60


class Session:
    """A profile in use; any thread may ask for its token.

    `stranger` gives the server, shown no token.
    """

    def __init__(self, profile: Profile, credentials: Credentials, stranger: "Callable[[], Api]") -> None:
        self.profile = profile
        self._credentials = credentials
        self._stranger = stranger
        self._lock = threading.Lock()
        self._no_renewal_before = 0.0

    def token(self) -> str:
        """Return a token that is good for now. Raises PermissionDenied where there is none to be had."""
        with self._lock:
            if self._left_s() < RENEW_WITHIN_S:
                self._look_again()
            if self._left_s() <= 0:
                self._log_in()
            elif self._left_s() < RENEW_WITHIN_S and time.monotonic() >= self._no_renewal_before:
                self._renew()
            assert self.profile.token is not None
            return self.profile.token

    def another(self, refused: str) -> str | None:
        """Return a token in place of one that the server refused, or None. Raises PermissionDenied."""
        with self._lock:
            if self.profile.token == refused:
                self._look_again()
            if self.profile.token == refused and self.profile.password_command:
                self._log_in()
            return None if self.profile.token == refused else self.profile.token

    def take(self, login: "Login") -> None:
        """Show and keep the token from now on."""
        with self._lock:
            self.profile = logged_in(self.profile, login)
            self.profile = self._credentials.keep(self.profile, as_current=False)

    def _left_s(self) -> float:
        if self.profile.token is None:
            return 0
        return math.inf if self.profile.expires_at is None else self.profile.expires_at - time.time()

    def _look_again(self) -> None:
        """Take the token that another process may have kept for the same user in the meantime."""
        current = self._credentials.reread(self.profile)
        if current and current.token and (current.url, current.username) == (self.profile.url, self.profile.username):
            self.profile = current

    def _renew(self) -> None:
        assert self.profile.token is not None
        try:
            self._exchange(self._stranger().renew(self.profile.token))
        except PermissionDenied:
            if not self.profile.password_command:
                raise
            self._log_in()
        except LeadctlError:  # the one that there is will do a while longer
            self._no_renewal_before = time.monotonic() + TRY_AGAIN_AFTER_S

    def _log_in(self) -> None:
        profile = self.profile
        if not profile.password_command or not profile.username:
            raise PermissionDenied(self._how_to_log_in())
        try:
            login = self._stranger().login(profile.username, password_from(profile.password_command))
        except PermissionDenied as error:
            raise PermissionDenied(f"profile {profile.name} can't log in by itself: {error}") from error
        self._exchange(login)

    def _exchange(self, login: "Login") -> None:
        old, self.profile = self.profile, logged_in(self.profile, login)
        with suppress(LeadctlError):  # what can't be kept is as good for this run
            self._credentials.exchange(old, self.profile)

    def _how_to_log_in(self) -> str:
        command = f"leadctl login --profile {self.profile.name}" if self.profile.name else "leadctl login"
        if self.profile.token:
            return f"the login at {self.profile.url} has ended; log in again: {command}"
        others = self.profile.name is None and self._credentials.current is None and self._credentials.profiles
        use = ", or leadctl profiles use NAME" if others else ""
        return f"not logged in to {self.profile.url}; run: {command}{use}"


class GivenToken:
    """A token that was given: it is neither renewed nor kept."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        """Return it."""
        return self._token

    def another(self, refused: str) -> str | None:  # noqa: ARG002 - there is none, whichever it was
        """Return None."""
        return None


def logged_in(profile: Profile, login: "Login") -> Profile:
    """Return the profile with the login's token."""
    return replace(profile, token=login.token, expires_at=time.time() + login.expires_in)


def password_from(command: str, *, within_s: float = PASSWORD_COMMAND_WITHIN_S) -> str:
    """Return the first line that the command prints; no shell reads the command. Raises PermissionDenied."""
    try:
        done = subprocess.run(  # noqa: S603 - it is the user's own
            shlex.split(command),
            stdin=subprocess.DEVNULL,  # our own may hold ids
            capture_output=True,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PermissionDenied(f"the password-command did not end within {within_s:g} seconds") from error
    except (OSError, ValueError, IndexError) as error:
        raise PermissionDenied(f"the password-command can't be run: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise PermissionDenied(f"the password-command failed with exit code {done.returncode}{said and f': {said}'}")
    try:
        password = done.stdout.decode("utf-8").partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError as error:
        raise PermissionDenied("the password-command's output is not UTF-8") from error
    if not password:
        raise PermissionDenied("the password-command printed no password in its first line")
    return password
