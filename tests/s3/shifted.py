"""An S3-compatible server whose clock differs by the seconds in its first argument; run as a program."""

import sys
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

if __name__ == "__main__":
    models: Any = import_module("moto.s3.models")
    offset = timedelta(seconds=float(sys.argv.pop(1)))
    right = models.utcnow

    def shifted() -> datetime:
        """Return the time by this server's clock."""
        return right() + offset  # type: ignore[no-any-return]

    models.utcnow = shifted
    import_module("moto.server").main()
