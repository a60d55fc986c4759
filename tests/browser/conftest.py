"""The system's Chromium, a firm's website, and the service it sends leads to: three programs, three origins."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self, cast

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.system.programs import Service, clean_environment

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
README = Path(__file__).parents[2] / "README.md"


class Site:
    """A firm's website: the form that the README tells to paste, and a page of thanks."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {"/thanks": page("<h1>The firm's own thanks</h1>")}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.site = self
        self._thread = Thread(target=self._server.serve_forever, args=[0.05])

    @property
    def origin(self) -> str:
        return f"http://localhost:{self._server.server_address[1]}"

    @property
    def other_origin(self) -> str:
        """The same site, under an origin that nobody named."""
        return self.origin.replace("localhost", "127.0.0.1")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Firm:
    """A running service, with the firm's website that sends to it."""

    def __init__(self, service: Service, site: Site) -> None:
        self.service, self.site = service, site
        self.url, self.directory = service.url, service.directory
        self._before = 0
        site.pages["/"] = page(snippet("html").replace("https://intake.example.com", self.url))

    def begin(self) -> Self:
        """Count from here on."""
        self._before += self.count()
        return self

    def count(self) -> int:
        """Return the number of leads that the test sent in."""
        with closing(sqlite3.connect(self.directory / "intake.db")) as connection:
            (count,) = connection.execute("SELECT count(*) FROM lead").fetchone()
        return int(count) - self._before


def snippet(language: str) -> str:
    """Return the README's piece of code in a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def page(body: str) -> str:
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>A firm</title><body>{body}'


class _Server(ThreadingHTTPServer):
    site: Site


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = cast("_Server", self.server).site.pages.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write((found or "").encode())

    def log_message(self, *_arguments: object) -> None:
        """Write no log."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        pytest.exit("there is no Chromium to test with; install it: apt-get install chromium", returncode=1)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A browser's tab, as of a profile of its own."""
    with browser.new_context() as context:
        context.set_default_timeout(20_000)
        yield context.new_page()


@pytest.fixture(scope="session")
def firms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Firm]]:
    """A function that returns a firm whose service has these settings and its directory; each is started once."""
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


@pytest.fixture
def firm(firms: Callable[..., Firm]) -> Firm:
    """One that takes CVs of up to 1 MiB, and leads from its own site's scripts."""
    return firms(
        INTAKE_MAX_CV_BYTES="1MiB",
        INTAKE_MAIL_FROM="Marple & Wimsey <intake@example.com>",
        INTAKE_CORS_ORIGINS="{site}",
    )
