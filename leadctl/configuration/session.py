"""The access token of a running command: stored, renewed in time, or fetched with the password command."""

import math
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO, TYPE_CHECKING

import httpx2

from leadctl.configuration.credentials import Credentials, Profile
from leadctl.errors import LeadctlError, LoginRequired, PermissionDenied

if TYPE_CHECKING:
    from leadctl.api import Api, Login

RENEW_WITHIN_S = 10 * 60
SESSION_S = 12 * 3600  # the server's: a token can be renewed this long after the login
RETRY_RENEWAL_AFTER_S = 30
PASSWORD_COMMAND_TIMEOUT_S = 60
MAX_PASSWORD_OUTPUT_BYTES = 2**16  # of either stream


class Session(httpx2.Auth):
    """A profile in use, whose token each request carries; any thread may ask for the token.

    `anonymous_api` returns the API without a token, for logging in and renewing.
    """

    def __init__(self, profile: Profile, credentials: Credentials, anonymous_api: "Callable[[], Api]") -> None:
        self.profile = profile
        self._credentials = credentials
        self._anonymous_api = anonymous_api
        self._lock = threading.Lock()
        self._no_renewal_before = 0.0

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a valid token; after a 401 retry once with another token, if there is one.

        Raises LoginRequired after the service's own 401; a proxy's is not about the token.
        """
        token = self.token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 and (replacement := self.replacement_for(token)):
            request.headers["Authorization"] = f"Bearer {replacement}"
            response = yield request
        is_problem = response.headers.get("content-type", "").startswith("application/problem+json")
        if response.status_code == 401 and is_problem:
            raise LoginRequired(self._login_hint())

    def token(self) -> str:
        """Return a valid token. Raises LoginRequired if there is none, or PermissionDenied."""
        with self._lock:
            if self._remaining_s() < RENEW_WITHIN_S:
                self._reload()
            if self._remaining_s() <= 0:
                self._log_in()
            elif self._remaining_s() < RENEW_WITHIN_S and time.monotonic() >= self._no_renewal_before:
                self._renew()
            assert self.profile.token is not None
            return self.profile.token

    def replacement_for(self, refused: str) -> str | None:
        """Return a token other than the refused one, or None. Raises PermissionDenied or TryAgain."""
        with self._lock:
            if self.profile.token == refused:
                self._reload()
            if self.profile.token == refused and self.profile.password_command:
                self._log_in()
            return None if self.profile.token == refused else self.profile.token

    def use_login(self, login: "Login", *, username: str | None = None) -> None:
        """Use the login's token from now on; save it in the profile, if that has a name and it is the same user's."""
        with self._lock:
            old, user = self.profile, username or self.profile.username
            self.profile = replace(with_login(old, login), username=user)
            if old.name and user == old.username:
                self._credentials.save(self.profile, make_current=False)

    def _remaining_s(self) -> float:
        if self.profile.token is None:
            return 0
        return math.inf if self.profile.expires_at is None else self.profile.expires_at - time.time()

    def _reload(self) -> None:
        """Take the token that another process may have saved for the same user."""
        stored = self._credentials.profile(self.profile.name)
        if stored and stored.token and (stored.url, stored.username) == (self.profile.url, self.profile.username):
            self.profile = stored

    def _renew(self) -> None:
        assert self.profile.token is not None
        try:
            self._replace_token(self._anonymous_api().renew(self.profile.token))
        except PermissionDenied:
            self._log_in()
        except LeadctlError:  # the present token is still valid
            self._no_renewal_before = time.monotonic() + RETRY_RENEWAL_AFTER_S

    def _log_in(self) -> None:
        profile = self.profile
        if not profile.password_command or not profile.username:
            raise LoginRequired(self._login_hint())
        try:
            login = self._anonymous_api().login(profile.username, run_password_command(profile.password_command))
        except PermissionDenied as error:
            raise PermissionDenied(f"automatic login of profile {profile.name} failed: {error}") from error
        self._replace_token(login)

    def _replace_token(self, login: "Login") -> None:
        old, self.profile = self.profile, with_login(self.profile, login)
        with suppress(LeadctlError):  # this run can use the token even if it can't be saved
            self._credentials.compare_and_swap(old, self.profile)

    def _login_hint(self) -> str:
        command = f"leadctl login --profile {self.profile.name}" if self.profile.name else "leadctl login"
        if self.profile.token:
            what = f"the login at {self.profile.url} has ended; run: {command}"
            return what if self.profile.name else "the token in LEADCTL_TOKEN is not valid"
        others = self.profile.name is None and self._credentials.profiles
        use = ", or select a profile with: leadctl profiles use NAME" if others else ""
        return f"not logged in to {self.profile.url}; run: {command}{use}"


def with_login(profile: Profile, login: "Login") -> Profile:
    """Return the profile with the login's token."""
    return replace(profile, token=login.token, expires_at=time.time() + login.expires_in)


def run_password_command(command: str, *, timeout_s: float = PASSWORD_COMMAND_TIMEOUT_S) -> str:
    """Return the first line of the command's output; it runs without a shell. Raises PermissionDenied."""
    try:
        code, output, errors = _run_limited(shlex.split(command), timeout_s)
    except subprocess.TimeoutExpired as error:
        raise PermissionDenied(f"the password command did not finish within {timeout_s:g} seconds") from error
    except (OSError, ValueError, IndexError) as error:
        raise PermissionDenied(f"can't run the password command: {error}") from error
    if len(output) > MAX_PASSWORD_OUTPUT_BYTES:
        raise PermissionDenied(f"the password command printed more than {MAX_PASSWORD_OUTPUT_BYTES} bytes")
    if code != 0:
        last_line = errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        detail = f": {last_line}" if last_line else ""
        raise PermissionDenied(f"the password command failed with exit code {code}{detail}")
    try:
        password = output.decode("utf-8").partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError as error:
        raise PermissionDenied("the password command's output is not UTF-8") from error
    if not password:
        raise PermissionDenied("the first line of the password command's output is empty")
    return password


def _run_limited(command: Sequence[str], timeout_s: float) -> tuple[int, bytes, bytes]:
    """Run a program; return its exit code, and both outputs up to one byte more than allowed.

    Raises OSError or TimeoutExpired.
    """
    until = time.monotonic() + timeout_s
    process = subprocess.Popen(  # noqa: S603 - configured by the user
        command,
        stdin=subprocess.DEVNULL,  # leadctl's standard input may contain ids
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    outputs = [_LimitedReader(stream) for stream in (process.stdout, process.stderr)]
    try:
        for reader in outputs:
            reader.join(max(until - time.monotonic(), 0))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(command, timeout_s)
        code = process.wait(max(until - time.monotonic(), 0))
    except BaseException:  # also Ctrl-C
        process.kill()
        process.wait()
        raise
    return code, outputs[0].data, outputs[1].data


class _LimitedReader(threading.Thread):
    """Reads a stream in a thread, and closes it when it has read one byte more than allowed."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream, self.data = stream, b""
        self.start()

    def run(self) -> None:
        with self._stream:
            self.data = self._stream.read(MAX_PASSWORD_OUTPUT_BYTES + 1)
