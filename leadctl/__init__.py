"""leadctl: triage a law firm's leads from a terminal or a shell script."""

import sys
from types import ModuleType

__version__ = "0.1.0"

# httpx2 reads its version from the metadata of all installed packages, which is a fifth of the time of a short command
_httpx2_version = ModuleType("httpx2.__version__")
_httpx2_version.__dict__.update(__title__="httpx2", __description__="", __version__="2")
sys.modules.setdefault("httpx2.__version__", _httpx2_version)
