"""Makes the sample files beside it; see README.md for the programs that it needs."""

import subprocess
import tempfile
from pathlib import Path

import docx
from odf import teletype
from odf.opendocument import OpenDocumentText
from odf.style import Footer, Header, MasterPage, PageLayout
from odf.text import H, P
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

HERE = Path(__file__).parent
LINES = (
    "Zoë Müller: Curriculum Vitæ, H-1B visa",
    "Мария Иванова, инженер-программист",
    "Ελένη Παπαδοπούλου, δικηγόρος",
    "王小明，软件工程师",
    "محمد الأحمد، مهندس برمجيات",
    "דוד כהן, מהנדס תוכנה",
)
LEFT_TO_RIGHT = LINES[:4]


def make_html(file: Path) -> None:
    paragraphs = "".join(f"<p{' dir=rtl' if n > 3 else ''}>{line}</p>" for n, line in enumerate(LINES))
    page = "<p style='page-break-before: always'>Second page</p>"
    file.write_text(
        f"<!doctype html><html><head><meta charset=utf-8><title>CV</title></head><body>{paragraphs}{page}</body></html>"
    )


def make_with_libreoffice(source: Path) -> None:
    for kind, name in (
        ("docx", "libreoffice.docx"),
        ("odt", "libreoffice.odt"),
        ("pdf", "libreoffice.pdf"),
        ("rtf", "libreoffice.rtf"),
        ("doc", "libreoffice.doc"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            filters = {
                "docx": "docx:MS Word 2007 XML",
                "odt": "odt:writer8",
                "pdf": "pdf:writer_pdf_Export",
                "rtf": "rtf:Rich Text Format",
                "doc": "doc:MS Word 97",
            }
            subprocess.run(
                [
                    "soffice",
                    f"-env:UserInstallation=file://{folder}/profile",
                    "--headless",
                    "--infilter=writer8" if source.suffix == ".odt" else "--infilter=HTML (StarWriter)",
                    "--convert-to",
                    filters[kind],
                    "--outdir",
                    folder,
                    source,
                ],
                check=True,
            )
            (HERE / name).write_bytes((Path(folder) / f"{source.stem}.{kind}").read_bytes())


def make_with_chromium(source: Path) -> None:
    subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-pdf-header-footer",
            f"--print-to-pdf={HERE / 'chromium.pdf'}",
            source.as_uri(),
        ],
        check=True,
    )


def make_with_reportlab() -> None:
    pdfmetrics.registerFont(TTFont("DejaVu", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"))
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    canvas = Canvas(str(HERE / "reportlab.pdf"), invariant=1)
    for number, line in enumerate(LEFT_TO_RIGHT):
        canvas.setFont("STSong-Light" if number == 3 else "DejaVu", 12)
        canvas.drawString(72, 760 - 30 * number, line)
    canvas.showPage()
    canvas.setFont("DejaVu", 12)
    canvas.drawString(72, 760, "Second page")
    canvas.showPage()
    canvas.save()


def make_with_python_docx() -> None:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "The header"
    document.sections[0].footer.paragraphs[0].text = "The footer"
    for line in LINES:
        document.add_paragraph(line)
    table = document.add_table(rows=2, cols=2)
    for number in range(4):
        table.cell(number // 2, number % 2).text = f"cell {number}"
    document.add_paragraph("a tab\there")
    document.save(HERE / "python-docx.docx")


def make_with_odfpy() -> None:
    document = OpenDocumentText()
    layout = PageLayout(name="layout")
    document.automaticstyles.addElement(layout)
    master = MasterPage(name="Standard", pagelayoutname=layout)
    document.masterstyles.addElement(master)
    for element, text in ((Header(), "The header"), (Footer(), "The footer")):
        element.addElement(P(text=text))
        master.addElement(element)
    document.text.addElement(H(outlinelevel=1, text="Heading"))
    for line in (*LINES, "a tab\there", "three   spaces"):
        paragraph = P()
        teletype.addTextToElement(paragraph, line)
        document.text.addElement(paragraph)
    document.save(HERE / "odfpy.odt")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        page = Path(directory) / "page.html"
        make_html(page)
        (HERE / "page.html").write_bytes(page.read_bytes())
        make_with_libreoffice(page)
        make_with_chromium(page)
    make_with_reportlab()
    make_with_python_docx()
    make_with_odfpy()
