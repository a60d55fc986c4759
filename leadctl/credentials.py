"""Profiles: whose tokens for which servers are kept between commands, in a file that only its owner reads."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leadctl.errors import LeadctlError
from leadctl.settings import is_token

FAR_OFF = 10**11  # no moment of ours is so far out, nor is NaN less


@dataclass(frozen=True)
class Profile:
    """A login at a server. One without a name is kept under the server's address.

    `expires_at`, a Unix time in seconds, is when the token ends, or None where that is not known. The password command
    prints the password.
    """

    url: str
    name: str | None = None
    username: str | None = None
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    password_command: str | None = None

    @property
    def left_s(self) -> int | None:
        """How many seconds its token is good for yet; None where there is none, or that is not known."""
        if self.token is None or self.expires_at is None:
            return None
        return max(0, int(self.expires_at - time.time()))


class Credentials:
    """The kept profiles. A file that holds anything else counts as empty: a login makes it anew.

    Several processes may use it at once. Raises LeadctlError where the file can't be read or written.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "credentials.json"

    @property
    def profiles(self) -> list[Profile]:
        """Return those that have a name."""
        kept = self._read()
        found = (_profile(kept, name, None) for name in kept["profiles"])
        return [profile for profile in found if profile]

    @property
    def last(self) -> Profile | None:
        """The one that was logged in to last."""
        kept = self._read()
        if name := _text(kept, "last_profile"):
            return _profile(kept, name, None)
        return _profile(kept, None, url) if (url := _text(kept, "last")) else None

    def profile(self, name: str) -> Profile | None:
        """Return the profile of that name."""
        return _profile(self._read(), name, None)

    def at(self, url: str) -> Profile:
        """Return the profile without a name for the server, with no token where none is kept."""
        return _profile(self._read(), None, url) or Profile(url)

    def current(self, profile: Profile) -> Profile | None:
        """Return the profile as it is kept now: another process may have changed it."""
        return _profile(self._read(), profile.name, profile.url)

    def keep(self, profile: Profile, *, as_last: bool) -> None:
        """Keep the profile; `as_last` makes it the one that was logged in to last."""
        with self._changed() as kept:
            _put(kept, profile)
            if as_last:
                kept.update(last=profile.url, last_profile=profile.name)

    def exchange(self, old: Profile, new: Profile) -> None:
        """Keep the new one where the old one is kept still: a logout or another login in the meantime counts more."""
        with self._changed() as kept:
            current = _profile(kept, old.name, old.url)
            if current is not None and (current.token, current.username) == (old.token, old.username):
                _put(kept, new)

    def forget(self, profile: Profile) -> None:
        """Keep nothing of the profile."""
        if self.current(profile):
            with self._changed() as kept:
                section, key = _place(profile.name, profile.url)
                kept[section].pop(key, None)

    def _read(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"last": None, "last_profile": None, "servers": {}, "profiles": {}}
        with self._told("read"):
            try:
                kept = json.loads(self._file.read_text("utf-8"))
            except (FileNotFoundError, ValueError):
                return empty
        whole = {**empty, **kept} if isinstance(kept, dict) else empty
        is_ours = isinstance(whole["servers"], dict) and isinstance(whole["profiles"], dict)
        return whole if is_ours else empty

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        """Give what is kept, to be changed and then written; one process at a time."""
        with self._told("write"):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with _alone_in(self._file.parent):
                kept = self._read()
                yield kept
                self._write(kept)

    def _write(self, kept: dict[str, Any]) -> None:
        import tempfile  # noqa: PLC0415 - 4 ms that a command which only reads need not pay

        # mkstemp's file is its owner's alone from the start, where the system has modes
        number, name = tempfile.mkstemp(dir=self._file.parent, prefix=".credentials-")
        draft = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump(kept, file, indent=1)
            draft.replace(self._file)
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LeadctlError(f"can't {what} {self._file}: {error.strerror}") from error


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Let one process at a time pass here, where the system and the file system can."""
    number = None
    with suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 - Windows has none; there, of two changes at once the last one counts

        number = os.open(directory, os.O_RDONLY)
        fcntl.flock(number, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if number is not None:
            os.close(number)


def _place(name: str | None, url: str) -> tuple[str, str]:
    return ("profiles", name) if name else ("servers", url)


def _put(kept: dict[str, Any], profile: Profile) -> None:
    section, key = _place(profile.name, profile.url)
    values = {
        "url": profile.url,
        "username": profile.username,
        "token": profile.token,
        "expires_at": profile.expires_at,
        "password_command": profile.password_command,
    }
    kept[section][key] = {name: value for name, value in values.items() if value is not None}


def _profile(kept: dict[str, Any], name: str | None, url: str | None) -> Profile | None:
    """Return the profile that is kept under the name, else under the address; None where there is none to be read."""
    section, key = _place(name, url or "")
    values = kept[section].get(key)
    if not isinstance(values, dict):
        return None
    # an address's entry may be without it: so it was written before there were profiles
    address = _text(values, "url") if name else url
    expires_at, token = values.get("expires_at"), _text(values, "token")
    if not address:
        return None
    return Profile(
        address,
        name=name,
        username=_text(values, "username"),
        token=token if token and is_token(token) else None,
        expires_at=expires_at if isinstance(expires_at, int | float) and abs(expires_at) < FAR_OFF else None,
        password_command=_text(values, "password_command"),
    )


def _text(values: dict[str, Any], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) else None
