"""Content-Disposition of form parts and downloads."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_to_bytes

_PARAMETER = re.compile(
    r"""[ \t]*;[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*
    (?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^;"\s][^;]*))[ \t]*(?=;|$)""",
    re.VERBOSE | re.DOTALL,
)

_PERCENT_ENCODED = re.compile("(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})*")  # as urllib.parse.quote leaves it

# bytes that are not UTF-8; in Shift_JIS, Big5 and GBK a backslash may be the second byte of a letter
_UNREADABLE = re.compile(r"[\udc80-\udcff]+\\?")


@dataclass(frozen=True)
class ContentDisposition:
    """The field of a form part, and the file's name if it is a file.

    If the header is not UTF-8, U+FFFD replaces the letters that can't be read.
    """

    name: str
    filename: str | None
    is_utf8: bool = True


@lru_cache(256)
def parse_content_disposition(header: bytes, *, is_percent_encoded: bool = False) -> ContentDisposition:
    """Parse a part's Content-Disposition (RFC 7578) as any client writes it.

    Parameters may have any order, quotes, raw UTF-8 or `filename*` (RFC 5987), which has precedence.
    `is_percent_encoded` is true for clients that may encode whole names; browsers encode only quotes and line breaks.
    Raises ValueError if the header is malformed or lacks the field's name.
    """
    undecoded = header.decode("utf-8", "surrogateescape")
    text = _UNREADABLE.sub("\ufffd", undecoded)
    kind = re.match(r"[ \t]*form-data(?=[ \t]*(;|$))", text, re.IGNORECASE)
    parameters: dict[str, str] = {}
    at = kind.end() if kind else len(text)
    while kind and (found := _PARAMETER.match(text, at)):
        value = found["token"].rstrip(" \t") if found["quoted"] is None else _unescape(found["quoted"])
        if parameters.setdefault(found["name"].lower(), value) is not value:
            raise ValueError("a parameter is given twice")
        at = found.end()
    if "name" not in parameters or text[at:].strip(" \t;"):
        raise ValueError("expected form-data with a name")
    filename = _filename(parameters, is_percent_encoded=is_percent_encoded)
    return ContentDisposition(parameters["name"], filename, is_utf8=text == undecoded)


def attachment(filename: str) -> str:
    """Return a Content-Disposition (RFC 6266) for a download named `filename`."""
    fallback = re.sub(r"[^A-Za-z0-9._ -]", "_", filename)
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _filename(parameters: dict[str, str], *, is_percent_encoded: bool) -> str | None:
    if "filename*" in parameters and (name := _extended_value(parameters["filename*"])) is not None:
        return _base_name(name)
    if (plain := parameters.get("filename", parameters.get("filename*"))) is None:
        return None
    is_percent_encoded = is_percent_encoded and _PERCENT_ENCODED.fullmatch(plain) is not None
    return _base_name(unquote(plain, errors="replace") if is_percent_encoded else _decode_form_name(plain))


def _unescape(quoted: str) -> str:
    # clients escape only these two; any other backslash separates directories of a Windows path
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


def _decode_form_name(text: str) -> str:
    """Decode a name as the WHATWG encodes it: only quotes and line breaks."""
    return re.sub("%(22|0[AD])", lambda escape: chr(int(escape[1], 16)), text, flags=re.IGNORECASE)


def _base_name(path: str) -> str:
    name = re.split(r"[/\\]", path)[-1].strip()
    return "" if name in (".", "..") else name
