"""Extraction of the text of one file by its media type; runs in the child process."""

import codecs
from collections.abc import Callable, Mapping

from intake.cv_text.draft import Draft, DraftFull, ExtractionFailed, Text
from intake.cv_text.markup import write_html, write_plain, write_rtf
from intake.cv_text.office import write_docx, write_odt
from intake.cv_text.pdf import write_pdf

PDF = "application/pdf"
_WRITERS: Mapping[str, Callable[[Draft, bytes], None]] = {
    PDF: write_pdf,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": write_docx,
    "application/vnd.oasis.opendocument.text": write_odt,
    "application/vnd.oasis.opendocument.text-template": write_odt,
    "text/html": write_html,
    "application/rtf": write_rtf,
    "text/plain": write_plain,
    "application/octet-stream": write_plain,  # the type of texts that are not UTF-8
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # the format of DOC, and of DOCX with a password
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
# codecs are modules, and none can be imported in the sandbox
_CODECS = (
    *(f"cp{number}" for number in (437, 850, 874, 932, 936, 949, 950, 1361, *range(1250, 1259))),
    *(f"iso8859_{number}" for number in (*range(1, 12), *range(13, 17))),
    *("ascii", "big5", "euc_jp", "euc_kr", "gb18030", "gb2312", "koi8_r", "koi8_u", "mac_roman", "shift_jis"),
    *("utf_8", "utf_16", "utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be"),
)


def prepare() -> None:
    """Import what extraction needs later."""
    for name in _CODECS:
        codecs.lookup(name)


def extract(data: bytes, media_type: str) -> Text:
    """Return the text of a file; empty if it has none, such as an image. Raises ExtractionFailed."""
    if media_type.startswith("image/"):
        return Text("")
    if data.startswith(_OLE):
        raise ExtractionFailed("encrypted" if _ENCRYPTED_PACKAGE in data else "unsupported")
    if (write := _WRITERS.get(media_type)) is None:
        raise ExtractionFailed("unsupported")
    draft, truncated = Draft(), False
    try:
        write(draft, data)
    except DraftFull:
        truncated = True
    return draft.finish(has_pages=media_type == PDF, truncated=truncated)
