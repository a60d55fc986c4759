"""Profiles: whose tokens for which servers are kept between commands, in a file that only its owner reads.

The file has the `profiles` by name, the name of the `current` one, and in `servers` the name of each server's default.
"""

import json
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from leadctl.errors import LeadctlError
from leadctl.settings import is_token

FAR_OFF = 10**11  # no moment of ours is so far out, nor is NaN less


@dataclass(frozen=True)
class Profile:
    """A login at a server. It gets a name when it is first saved.

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
        """Return all of them."""
        kept = self._read()
        found = (_profile(kept, name) for name in kept["profiles"])
        return [profile for profile in found if profile]

    @property
    def current(self) -> Profile | None:
        """The profile of commands that name none."""
        kept = self._read()
        return _profile(kept, _text(kept, "current"))

    def profile(self, name: str) -> Profile | None:
        """Return the profile of that name."""
        return _profile(self._read(), name)

    def at(self, url: str) -> Profile:
        """Return the profile that a login at the server without a name was given, with no token where there is none."""
        kept = self._read()
        found = _profile(kept, _text(kept["servers"], url))
        return found if found and found.url == url else Profile(url)

    def reread(self, profile: Profile) -> Profile | None:
        """Return the profile as it is kept now: another process may have changed it."""
        return self.profile(profile.name) if profile.name else None

    def keep(self, profile: Profile, *, as_current: bool) -> Profile:
        """Save the profile, and return it with its name; `as_current` is for commands that name none."""
        with self._changed() as kept:
            named = profile if profile.name else replace(profile, name=_name_without_one(kept, profile.url))
            _put(kept, named)
            if as_current:
                kept["current"] = named.name
        return named

    def use(self, name: str) -> None:
        """Make the profile of that name the current one."""
        with self._changed() as kept:
            kept["current"] = name

    def exchange(self, old: Profile, new: Profile) -> None:
        """Keep the new one where the old one is kept still: a logout or another login in the meantime counts more."""
        with self._changed() as kept:
            current = _profile(kept, old.name)
            if current is not None and (current.token, current.username) == (old.token, old.username):
                _put(kept, new)

    def forget(self, profile: Profile) -> None:
        """Keep nothing of the profile."""
        if self.reread(profile):
            with self._changed() as kept:
                kept["profiles"].pop(profile.name, None)

    def _read(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"current": None, "servers": {}, "profiles": {}}
        with self._told("read"):
            try:
                _check_owner(self._file)
                kept = json.loads(self._file.read_text("utf-8"))
            except (FileNotFoundError, ValueError, RecursionError):
                return empty
        whole = {**empty, **kept} if isinstance(kept, dict) else empty
        is_ours = isinstance(whole["servers"], dict) and isinstance(whole["profiles"], dict)
        return _migrated(whole) if is_ours else empty

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


def _check_owner(file: Path) -> None:
    """Raise LeadctlError for a file that another user could have written: it names programs that are run."""
    if hasattr(os, "geteuid"):  # Windows has neither modes nor owners of this kind
        status = file.stat()
        if status.st_uid not in (0, os.geteuid()):
            raise LeadctlError(f"{file} belongs to another user; remove it and log in again")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise LeadctlError(f"{file} can be written by other users; check it, then: chmod 600 {file}")


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


def _migrated(kept: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept, with a profile for each login that an older version kept under its server's address alone.

    The latest of these is named first, and so is `default` unless another profile is.
    """
    last, last_profile = _text(kept, "last"), _text(kept, "last_profile")
    unnamed = {url: values for url, values in kept["servers"].items() if isinstance(values, dict)}

    def latest_first(url: str) -> tuple[bool, float]:
        expires_at = unnamed[url].get("expires_at")
        return url != last, -expires_at if isinstance(expires_at, int | float) else 0

    for url in sorted(unnamed, key=latest_first):
        kept["profiles"][_name_without_one(kept, url)] = {**unnamed[url], "url": url}
    if last or last_profile:
        kept["current"] = last_profile or _text(kept["servers"], str(last))
    return {name: value for name, value in kept.items() if name not in ("last", "last_profile")}


def _name_without_one(kept: dict[str, Any], url: str) -> str:
    """Return the profile of logins at the server that name none: `default`, or `default-HOST` where that is taken."""
    name = _text(kept["servers"], url)
    found = _profile(kept, name)
    if name is None or (found and found.url != url):
        name = next(free for free in _default_names(url) if free not in kept["profiles"])
        kept["servers"][url] = name
    return name


def _default_names(url: str) -> Iterator[str]:
    authority = url.partition("://")[2].partition("/")[0]
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", re.sub(r":\d+$", "", authority)).strip("-")[:48]
    yield "default"
    yield f"default-{host}"
    yield from (f"default-{host}-{number}" for number in count(2))


def _put(kept: dict[str, Any], profile: Profile) -> None:
    values = {
        "url": profile.url,
        "username": profile.username,
        "token": profile.token,
        "expires_at": profile.expires_at,
        "password_command": profile.password_command,
    }
    kept["profiles"][profile.name] = {name: value for name, value in values.items() if value is not None}


def _profile(kept: dict[str, Any], name: str | None) -> Profile | None:
    """Return the profile of that name; None where there is none to be read."""
    values = kept["profiles"].get(name)
    if not isinstance(values, dict):
        return None
    address = _text(values, "url")
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
