"""The catalogues of the form's texts (`make catalogues`): extracted from the code, updated and compiled."""

import io
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[2] / "intake/public_api"
LOCALES = ROOT / "locales"
_METHODS = [("**.py", "python"), ("**.html.jinja", "jinja2")]
# the functions that take a message, and the positions of its singular and plural
_KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "mark": None, "gettext": None, "ngettext": (1, 2)}


def template() -> Catalog:
    """Return the messages in code and templates."""
    catalog = Catalog()
    for file, _line, message, _comments, _context in extract_from_dir(ROOT, _METHODS, keywords=_KEYWORDS):
        catalog.add(message, locations=[(f"intake/public_api/{file}", 0)])
    return catalog


def read(language: str) -> Catalog:
    """Return the catalogue of a language."""
    with (LOCALES / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str) -> bytes:
    """Return the catalogue of a language with exactly the current messages."""
    catalog = read(language)
    catalog.update(template(), no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    written = io.BytesIO()
    write_po(written, catalog, width=100, omit_header=False, include_lineno=False, sort_output=True)
    return written.getvalue()


def compiled(language: str) -> bytes:
    """Return the compiled catalogue of a language."""
    written = io.BytesIO()
    write_mo(written, read(language))
    return written.getvalue()


if __name__ == "__main__":
    for path in LOCALES.glob("*.po"):
        path.write_bytes(updated(path.stem))
        path.with_suffix(".mo").write_bytes(compiled(path.stem))
