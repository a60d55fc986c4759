"""Text of PDF files, page by page."""

import pypdfium2
from pypdfium2 import PdfDocument, PdfiumError
from pypdfium2 import raw as pdfium

from intake.cv_text.draft import Draft, ExtractionFailed

_HYPHENS = str.maketrans({"\x02": "-", "\ufffe": "-"})  # PDFium's marks of hyphens at the end of lines


def write_pdf(draft: Draft, data: bytes) -> None:
    """Write the text of a PDF. Raises ExtractionFailed or DraftFull."""
    try:
        document = PdfDocument(data)
    except PdfiumError as error:
        is_encrypted = error.err_code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY)
        raise ExtractionFailed("encrypted" if is_encrypted else "damaged") from error
    for index in range(len(document)):
        if index:
            draft.end_page()
        draft.write(_page_text(document, index))


def _page_text(document: PdfDocument, index: int) -> str:
    """Return the text of a page, or nothing if the page is damaged."""
    try:
        page = document[index]
        text_page = page.get_textpage()
        text = text_page.get_text_range()
    except pypdfium2.PdfiumError:
        return ""
    text_page.close()
    page.close()
    return str(text).translate(_HYPHENS)
