"""Content-Disposition, read from parts of a form and written for downloads."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_to_bytes

_PARAMETER = re.compile(
    r"""[ \t]*;[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*
    (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^;"\s][^;]*))[ \t]*(?=;|$)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class ContentDisposition:
    """What a part of a form says of itself: its field, and its file's name where it is a file."""

    name: str
    filename: str | None


@lru_cache(256)
def parse_content_disposition(header: bytes, *, is_percent_encoded: bool = False) -> ContentDisposition:
    """Read a part's Content-Disposition (RFC 7578), whoever wrote it.

    Parameters come in any order, quoted or not, with raw UTF-8 or with `filename*` (RFC 5987), which counts more.
    `is_percent_encoded` tells that its client encodes a whole name, where browsers encode quotes and line breaks.
    Raises ValueError where there is no field's name, or where the header can't be read.
    """
    text = header.decode("utf-8")
    kind = re.match(r"[ \t]*form-data(?=[ \t]*(;|$))", text, re.IGNORECASE)
    parameters: dict[str, str] = {}
    at = kind.end() if kind else len(text)
    while kind and (found := _PARAMETER.match(text, at)):
        value = found["token"].rstrip(" \t") if found["quoted"] is None else _unescaped(found["quoted"])
        if parameters.setdefault(found["name"].lower(), value) is not value:
            raise ValueError("a parameter is there twice")
        at = found.end()
    if "name" not in parameters or text[at:].strip(" \t;"):
        raise ValueError("no form-data with a name")
    return ContentDisposition(parameters["name"], _filename(parameters, is_percent_encoded=is_percent_encoded))


def attachment(filename: str) -> str:
    """Return a Content-Disposition (RFC 6266) that offers a download under `filename`."""
    fallback = re.sub(r"[^A-Za-z0-9._ -]", "_", filename)
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _filename(parameters: dict[str, str], *, is_percent_encoded: bool) -> str | None:
    if "filename*" in parameters and (name := _extended_value(parameters["filename*"])) is not None:
        return _base_name(name)
    if (plain := parameters.get("filename", parameters.get("filename*"))) is None:
        return None
    return _base_name(unquote(plain, errors="replace") if is_percent_encoded else _form_decoded(plain))


def _unescaped(quoted: str) -> str:
    # only these two are escaped by anyone; a backslash before anything else is a Windows directory's
    return re.sub(r'\\(["\\])', r"\1", quoted)


def _extended_value(text: str) -> str | None:
    charset, _, rest = text.partition("'")
    _language, apostrophe, value = rest.partition("'")
    if not apostrophe or charset.lower() not in ("utf-8", "iso-8859-1"):
        return None
    try:
        return unquote_to_bytes(value).decode(charset)
    except UnicodeDecodeError:
        return None


def _form_decoded(text: str) -> str:
    """Undo the WHATWG's form encoding of a name: the quote and the line breaks, and nothing else."""
    return re.sub("%(22|0[AD])", lambda escape: chr(int(escape[1], 16)), text, flags=re.IGNORECASE)


def _base_name(path: str) -> str:
    name = re.split(r"[/\\]", path)[-1].strip()
    return "" if name in (".", "..") else name
