"""HTML templates, and the Content-Security-Policy of their pages."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import ChoiceLoader, PackageLoader, StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from intake.http.security_headers import FRAMED_BY_NOBODY
from intake.settings.trusted_templates import TrustedTemplates


def page_policy(page: str, *, allowed: Mapping[str, str] | None = None, frame_ancestors: Sequence[str] = ()) -> str:
    """Return the policy of a page: it may use its own `<style>` elements, and what is `allowed`, by directive.

    Only pages of the `frame_ancestors` may frame it.
    """
    styles = [hashlib.sha256(style.encode()).digest() for style in re.findall("<style>(.*?)</style>", page, re.DOTALL)]
    directives = {
        "default-src": "'none'",
        "style-src": " ".join(f"'sha256-{b64encode(digest).decode('ascii')}'" for digest in styles) or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        **(allowed or {}),
    }
    framed_by = f"frame-ancestors {' '.join(frame_ancestors)}" if frame_ancestors else FRAMED_BY_NOBODY
    return "; ".join([*(f"{name} {sources}" for name, sources in directives.items()), framed_by])


@cache  # compiling them is the slowest part of the start
def templates(package: str, *, is_strict: bool = True, directory: Path | None = None) -> ImmutableSandboxedEnvironment:
    """Return the templates in a package, with escaping. Files in the `directory` replace those of the same name.

    An undefined name raises an error if `is_strict`, and is empty otherwise.
    """
    custom = [TrustedTemplates(directory)] if directory else []
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([*custom, PackageLoader(package, ".")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        undefined=StrictUndefined if is_strict else Undefined,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # in the order of the fields
    return environment
