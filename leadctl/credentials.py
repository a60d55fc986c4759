"""Tokens, kept between commands: one for each server, in a file that only its owner reads."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Credential:
    """A token, whose it is, and the Unix time in seconds at which it ends."""

    username: str
    token: str = field(repr=False)
    expires_at: float


class Credentials:
    """The kept tokens. A file that can't be read as such counts as empty: a login makes it anew."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "credentials.json"

    @property
    def last_url(self) -> str | None:
        """The server that was logged in to last."""
        return self._read().get("last")

    def get(self, url: str) -> Credential | None:
        """Return what is kept for the server."""
        kept = self._read()["servers"].get(url)
        return Credential(**kept) if kept else None

    def keep(self, url: str, credential: Credential) -> None:
        """Keep the credential for the server, which is then the last one logged in to."""
        kept = self._read()
        kept["servers"][url] = asdict(credential)
        self._write({**kept, "last": url})

    def forget(self, url: str) -> None:
        """Keep nothing for the server."""
        kept = self._read()
        if kept["servers"].pop(url, None):
            self._write(kept)

    def _read(self) -> dict[str, Any]:
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            return {"last": kept["last"], "servers": dict(kept["servers"])}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {"servers": {}}

    def _write(self, kept: dict[str, Any]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp's file is its owner's alone from the start, where the system has modes
        number, name = tempfile.mkstemp(dir=self._file.parent, prefix=".credentials-")
        draft = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump(kept, file, indent=1)
            draft.replace(self._file)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
