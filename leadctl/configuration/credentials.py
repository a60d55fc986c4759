"""Profiles and their tokens, stored in a file that only its owner can read.

The file holds `profiles` by name, and the name of the `current` one.
"""

import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeGuard

from leadctl.errors import LeadctlError
from leadctl.settings import is_token

MAX_TIMESTAMP = 10**11  # also rejects NaN
LOCK_TIMEOUT_S = 10


@dataclass(frozen=True)
class Profile:
    """A login at a server; `name` is None if it is not stored.

    `expires_at` is the token's expiry as a Unix time in seconds, or None if unknown. The password command prints the
    password.
    """

    url: str
    name: str | None = None
    username: str | None = None
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    password_command: str | None = None

    @property
    def remaining_s(self) -> int | None:
        """Seconds until the token expires; None without a token or if unknown."""
        if self.token is None or self.expires_at is None:
            return None
        return max(0, int(self.expires_at - time.time()))


class Credentials:
    """The stored profiles; none without a file.

    Several processes may use the file at once. Raises LeadctlError if it can't be read or written, or is damaged: only
    the user may decide to discard its content.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def _file(self) -> Path:
        """The file. Raises LeadctlError without a home directory: in the working one, others could write it."""
        if not self._directory.is_absolute():
            raise LeadctlError("no home directory is known; set HOME, or XDG_CONFIG_HOME to an absolute path")
        return self._directory / "credentials.json"

    @property
    def profiles(self) -> list[Profile]:
        data = self._read()
        found = (_parse_profile(data, name) for name in data["profiles"])
        return [profile for profile in found if profile]

    @property
    def current(self) -> Profile | None:
        """The profile of commands that do not select one."""
        data = self._read()
        return _parse_profile(data, data["current"])

    def profile(self, name: str | None) -> Profile | None:
        """Return the profile of that name as it is stored now; another process may have changed it."""
        return _parse_profile(self._read(), name)

    def save(self, profile: Profile, *, make_current: bool) -> None:
        """Save the profile, which must have a name."""
        with self._transaction() as data:
            _store(data, profile)
            if make_current:
                data["current"] = profile.name

    def compare_and_swap(self, old: Profile, new: Profile) -> None:
        """Save the new profile unless another process has changed the old one's token or user."""
        with self._transaction() as data:
            stored = _parse_profile(data, old.name)
            if stored is not None and (stored.token, stored.username) == (old.token, old.username):
                _store(data, new)

    def delete(self, profile: Profile) -> None:
        """Delete the profile if it is stored."""
        if self.profile(profile.name):
            with self._transaction() as data:
                data["profiles"].pop(profile.name, None)

    def _read(self) -> dict[str, Any]:
        with self._os_errors("read"):
            try:
                _check_file(self._file)
                data = json.loads(self._file.read_text("utf-8"))
            except FileNotFoundError:
                data = {"current": None, "profiles": {}}
            except (ValueError, RecursionError):
                data = None
        if not _is_valid(data):
            raise LeadctlError(f"{display_path(self._file)} is damaged; remove or restore it, then log in again")
        return {name: data.get(name) for name in ("current", "profiles")}

    @contextmanager
    def _transaction(self) -> Iterator[dict[str, Any]]:
        """Yield the file's content and write it back; one process at a time."""
        with self._os_errors("write"):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with _exclusive_lock(self._file.with_suffix(".lock")):
                data = self._read()
                yield data
                self._write(data)

    def _write(self, data: dict[str, Any]) -> None:
        import tempfile  # noqa: PLC0415 - 4 ms, which a command that only reads need not pay

        # mkstemp creates the file with mode 0600, where the system has modes
        descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=".credentials-")
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1)
            draft.replace(self._file)
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _os_errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LeadctlError(f"can't {verb} {display_path(self._file)}: {error.strerror}") from error


def _check_file(file: Path) -> None:
    """Raise LeadctlError for a pipe, and a file that others could have written: it names programs that are run."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise LeadctlError(f"{display_path(file)} is not a file; remove it and log in again")
    if hasattr(os, "geteuid"):  # Windows has neither modes nor owners of this kind
        if status.st_uid not in (0, os.geteuid()):
            raise LeadctlError(f"{display_path(file)} belongs to another user; remove it and log in again")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            path = display_path(file)
            raise LeadctlError(f"{path} can be written by other users; check it, then: chmod 600 {path}")


def display_path(file: Path) -> str:
    """Return the path as users know it, with `~` for the home directory."""
    with suppress(ValueError, RuntimeError):
        return str("~" / file.relative_to(Path.home()))
    return str(file)


@contextmanager
def _exclusive_lock(file: Path) -> Iterator[None]:
    """Lock a file that other users can't open, if the system and the file system support it.

    Raises LeadctlError if another process holds the lock for LOCK_TIMEOUT_S.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with suppress(ImportError):
            import fcntl  # noqa: PLC0415 - not on Windows; there the last of two concurrent writes wins

            until = time.monotonic() + LOCK_TIMEOUT_S
            with suppress(OSError):  # the file system has no locks
                while not _try_lock(lambda: fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)):
                    if time.monotonic() > until:
                        raise LeadctlError(f"another leadctl holds {display_path(file)}; end it and try again")
                    time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _try_lock(lock: Callable[[], None]) -> bool:
    try:
        lock()
    except BlockingIOError:
        return False
    return True


def _store(data: dict[str, Any], profile: Profile) -> None:
    values = {name: value for name, value in asdict(profile).items() if value is not None}
    data["profiles"][values.pop("name")] = values


def _parse_profile(data: dict[str, Any], name: str | None) -> Profile | None:
    """Return the profile of that name, if there is one."""
    values = data["profiles"].get(name)
    return (
        None
        if values is None
        else Profile(**{one.name: values.get(one.name) for one in fields(Profile)} | {"name": name})
    )


def _is_valid(data: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether the file's content has the types that this version writes."""
    return (
        isinstance(data, dict)
        and isinstance(data.get("current"), str | None)
        and isinstance(data.get("profiles"), dict)
        and all(map(_is_profile, data["profiles"].values()))
    )


def _is_profile(values: Any) -> bool:
    if not isinstance(values, dict) or not values.get("url"):
        return False
    expires_at, token = values.get("expires_at"), values.get("token")
    return (
        all(isinstance(values.get(name), str | None) for name in ("url", "username", "token", "password_command"))
        and (token is None or is_token(token))
        and (expires_at is None or (isinstance(expires_at, int | float) and abs(expires_at) < MAX_TIMESTAMP))
    )
