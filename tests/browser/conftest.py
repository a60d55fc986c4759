"""Fixtures: the system's Chromium, a firm's website, and the service that receives its leads."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, cast

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.local_server import LocalServer
from tests.system.programs import Service, clean_environment

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
expect.set_options(timeout=20_000)  # for a busy machine
README = Path(__file__).parents[2] / "README.md"


class Site(LocalServer):
    """A firm's website with the form from the README and a thank-you page."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {"/thanks": page("<h1>The firm's own thanks</h1>")}
        self.charset = "utf-8"
        server = _Server(("127.0.0.1", 0), _Handler)
        server.site = self
        super().__init__(server)

    @property
    def origin(self) -> str:
        return self.url.replace("127.0.0.1", "localhost")

    @property
    def other_origin(self) -> str:
        """The same site under an origin that is not allowed."""
        return self.url


class Firm:
    """A running service and the website that submits to it."""

    def __init__(self, service: Service, site: Site) -> None:
        self.service, self.site = service, site
        self.url, self.directory = service.url, service.directory
        self._before = 0
        self.form = snippet("html").replace("https://intake.example.com", self.url)
        self.begin()

    def begin(self) -> Self:
        """Reset the website, and the count of leads."""
        self.site.pages["/"], self.site.charset = page(self.form), "utf-8"
        self._before += self.count()
        return self

    def count(self) -> int:
        """Return the number of leads since the last reset."""
        return int(self._row("SELECT count(*) FROM lead")[0]) - self._before

    def last_lead(self) -> tuple[str, str]:
        """Return the first name and the CV's name of the newest lead."""
        f_name, cv_name = self._row('SELECT f_name, "CV_name" FROM lead ORDER BY id DESC')
        return f_name, cv_name

    def last_suspect(self) -> str | None:
        """Return the sign of spam of the newest lead."""
        suspect: str | None = self._row("SELECT suspect FROM lead ORDER BY id DESC")[0]
        return suspect

    def _row(self, query: str) -> tuple[Any, ...]:
        with closing(sqlite3.connect(self.directory / "intake.db")) as connection:
            return tuple(connection.execute(query).fetchone())


def snippet(language: str) -> str:
    """Return the README's code block of a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def page(body: str) -> str:
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>A firm</title><body>{body}'


class _Server(ThreadingHTTPServer):
    site: Site


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = cast("_Server", self.server).site
        found = site.pages.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", f"text/html; charset={site.charset}")
        self.end_headers()
        self.wfile.write((found or "").encode(site.charset))

    def log_message(self, *_arguments: object) -> None:
        """Write no log."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        pytest.exit("Chromium is not installed; run: apt-get install chromium", returncode=1)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A browser tab with a new profile."""
    with browser.new_context() as context:
        context.set_default_timeout(20_000)
        yield context.new_page()


@pytest.fixture(scope="session")
def firms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Firm]]:
    """A function that returns a firm whose service has these settings; each is started once per session."""
    known: dict[tuple[tuple[str, str], ...], Firm] = {}
    with ExitStack() as stack:

        def started(**settings: str) -> Firm:
            if (firm := known.get(tuple(settings.items()))) is not None:
                return firm.begin()
            site, directory = stack.enter_context(Site()), tmp_path_factory.mktemp("firm")
            given = {name: value.format(site=site.origin, directory=directory) for name, value in settings.items()}
            service = stack.enter_context(Service(clean_environment(directory, **given), directory))
            return known.setdefault(tuple(settings.items()), Firm(service, site))

        yield started


FORM = """
name = "Marple & Wimsey"
languages = ["en", "de", "ar"]
palette = "blue"
privacy_url = "https://www.marple-wimsey.example/privacy"
[texts.en]
introduction = "Tell us who you are, and send us your CV. We answer within two working days."
no_relationship = "Sending this form does not make you our client."
no_confidential = "Please do not send anything confidential before we have checked for conflicts of interest."
privacy = "We use your details only to answer you."
[texts.de]
introduction = "Sagen Sie uns, wer Sie sind, und senden Sie uns Ihren Lebenslauf."
no_relationship = "Mit diesem Formular entsteht noch kein Mandat."
no_confidential = "Bitte senden Sie nichts Vertrauliches, bevor wir Interessenkonflikte geprüft haben."
privacy = "Wir verwenden Ihre Angaben nur, um Ihnen zu antworten."
[[fields]]
key = "matter"
type = "select"
label = {en = "What is it about?", de = "Worum geht es?", ar = "ما الموضوع؟"}
help = {en = "Do not describe your case yet.", de = "Beschreiben Sie Ihren Fall noch nicht.", ar = "لا تصف قضيتك بعد."}
options = [
  {value = "work", label = {en = "Work", de = "Arbeit", ar = "العمل"}},
  {value = "family", label = {en = "Family", de = "Familie", ar = "الأسرة"}},
]
[[fields]]
key = "action"
type = "checkbox"
label = {en = "A hearing is scheduled.", de = "Es gibt schon einen Gerichtstermin.", ar = "تم تحديد جلسة."}
[[consents]]
key = "newsletter"
label = {en = "Send me your newsletter.", de = "Senden Sie mir Ihren Newsletter.", ar = "أرسلوا إليّ نشرتكم."}
"""


@pytest.fixture(scope="session")
def hosted(firms: Callable[..., Firm], tmp_path_factory: pytest.TempPathFactory) -> Firm:
    """A firm that uses the form of the service, also in frames on its website."""
    file = tmp_path_factory.mktemp("form") / "form.toml"
    file.write_text(FORM, encoding="utf-8")
    return firms(
        INTAKE_FORM=str(file),
        INTAKE_FIRM_CONTACT="020 7946 0000",
        INTAKE_FIRM_URL="{site}/thanks",
        INTAKE_MAIL_FROM="intake@marple-wimsey.example",
        INTAKE_FORM_FRAME_ANCESTORS="{site}",
    )


@pytest.fixture
def firm(firms: Callable[..., Firm]) -> Firm:
    """A firm that accepts CVs of up to 1 MiB, and submissions by scripts of its site."""
    return firms(
        INTAKE_MAX_CV_BYTES="1MiB",
        INTAKE_MAIL_FROM="Marple & Wimsey <intake@example.com>",
        INTAKE_CORS_ORIGINS="{site}",
    )
