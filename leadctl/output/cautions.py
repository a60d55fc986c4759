"""Warnings about CVs, to read before opening them."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from leadctl.output.formats import Record

_FLAGS = {
    "activex": "ActiveX controls",
    "archive": "an archive that was not inspected",
    "embedded-file": "an embedded file",
    "encrypted": "password-protected parts",
    "external-template": "a template from another server",
    "javascript": "JavaScript",
    "launch": "a command that starts a program",
    "open-action": "an action that runs when it is opened",
    "remote-content": "content of another server, or another page, that is loaded when it is opened",
    "unreadable": "unreadable parts",
}
_SCANS = {"scanning": "is not scanned yet", "too-large-to-scan": "is too large to scan"}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCX = f"{_OFFICE}.wordprocessingml.document"
_ODT = "application/vnd.oasis.opendocument.text"
_WORD = ("application/msword", "application/rtf")
_TYPE_NAMES = {  # of types that the server detects; tables and cautions show others as they are
    "application/pdf": "PDF document",
    "application/msword": "Word document (.doc)",
    _DOCX: "Word document (.docx)",
    f"{_OFFICE}.spreadsheetml.sheet": "Excel sheet (.xlsx)",
    f"{_OFFICE}.presentationml.presentation": "PowerPoint presentation (.pptx)",
    _ODT: "OpenDocument text (.odt)",
    "application/rtf": "Rich Text document (.rtf)",
    "application/zip": "ZIP archive",
    "application/octet-stream": "unknown",
    "text/plain": "plain text",
    "text/html": "web page",
    "image/jpeg": "JPEG image",
    "image/png": "PNG image",
    "image/tiff": "TIFF image",
}
_TYPES = {  # the types that the server detects in a file of each extension
    ".pdf": ("application/pdf",),
    ".doc": _WORD,
    ".docx": (_DOCX,),
    ".odt": (_ODT,),
    ".rtf": _WORD,
    ".png": ("image/png",),
    ".jpg": ("image/jpeg",),
    ".jpeg": ("image/jpeg",),
    ".tif": ("image/tiff",),
    ".tiff": ("image/tiff",),
    **dict.fromkeys((".txt", ".md", ".html", ".htm"), ("text/", "application/xml", "application/octet-stream")),
}


def type_name(media_type: str) -> str:
    """Return the name of a CV's detected type for people; the media type itself if it has none."""
    return _TYPE_NAMES.get(media_type, media_type)


def caution(lead: Record, subject: str = "this CV") -> str | None:
    """Return a warning about a lead's CV, or None."""
    text = " and ".join(cautions(lead))
    return f"Caution: {subject} {text}" if text else None


def cautions(lead: Record) -> Iterator[str]:
    """Yield what makes a lead's CV suspicious, as verbs with their objects."""
    if lead["CV_scan_state"] == "quarantined":
        yield f"is infected ({lead.get('CV_signature')})"
    elif lead["CV_scan_state"] in _SCANS:
        yield _SCANS[lead["CV_scan_state"]]
    if found := _contents([flag for flag in lead["CV_flags"].split(",") if flag]):
        yield f"contains {found}"
    extension, detected = _extension(lead), lead["CV_detected_type"]
    if detected and not detected.startswith(_TYPES.get(extension, "")):
        yield f"has a name that ends in {extension}, but its type is {type_name(detected)}"


def opening_cautions(lead: Record) -> Iterator[str]:
    """Yield the cautions, and one for a name that is not a document's: opening the file may run a program."""
    yield from cautions(lead)
    if (extension := _extension(lead)) not in _TYPES:
        yield f"has a name that ends in {extension[:16]}" if extension else "has a name without an extension"


def _extension(lead: Record) -> str:
    return PurePosixPath(lead["CV_name"]).suffix.lower()


def _contents(flags: list[str]) -> str:
    pair = {"javascript", "open-action"}
    if pair <= set(flags):
        flags = ["JavaScript that runs when it is opened", *(flag for flag in flags if flag not in pair)]
    return ", ".join(_FLAGS.get(flag, flag) for flag in flags)
