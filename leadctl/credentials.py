"""Tokens, kept between commands: one for each server, in a file that only its owner reads."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from leadctl.errors import LeadctlError


@dataclass(frozen=True)
class Credential:
    """A token, whose it is, and the Unix time in seconds at which it ends."""

    username: str
    token: str = field(repr=False)
    expires_at: float


class Credentials:
    """The kept tokens. A file that holds anything else counts as empty: a login makes it anew.

    Raises LeadctlError where the file can't be read or written.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "credentials.json"

    @property
    def last_url(self) -> str | None:
        """The server that was logged in to last."""
        last = self._read()["last"]
        return last if isinstance(last, str) else None

    def token(self, url: str) -> str | None:
        """Return the token that is kept for the server."""
        kept = self._read()["servers"].get(url)
        token = kept.get("token") if isinstance(kept, dict) else None
        return token if isinstance(token, str) else None

    def keep(self, url: str, credential: Credential) -> None:
        """Keep the credential for the server, which is then the last one logged in to."""
        servers = self._read()["servers"]
        self._write({"last": url, "servers": {**servers, url: asdict(credential)}})

    def forget(self, url: str) -> None:
        """Keep nothing for the server."""
        kept = self._read()
        if kept["servers"].pop(url, None):
            self._write(kept)

    def _read(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"last": None, "servers": {}}
        with self._told("read"):
            try:
                kept = json.loads(self._file.read_text("utf-8"))
            except (FileNotFoundError, ValueError):
                return empty
        is_ours = isinstance(kept, dict) and isinstance(kept.get("servers"), dict)
        return {**empty, **kept} if is_ours else empty

    def _write(self, kept: dict[str, Any]) -> None:
        with self._told("write"):
            self._file.parent.mkdir(parents=True, exist_ok=True)
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
