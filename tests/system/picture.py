"""The README's pictures of leadctl (`make picture`): the real program at a terminal, as SVGs."""

import asyncio
import io
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from leadctl.context import Context
from leadctl.settings import Flags
from leadctl.triage.app import TriageApp
from leadctl.triage.keys import REPEAT_S, assign_keys
from leadctl.triage.session import Session
from tests.system.demo import PASSWORD, pdf
from tests.system.programs import INTAKE, LEADCTL, Service, clean_environment
from tests.system.terminal import Terminal

COLUMNS = 96
# (first name, last name, state, minutes since the submission, additions to the CV)
LEADS = (
    ("Ada", "Lovelace", "ENGAGED", 6 * 1440, b""),
    ("Grace", "Hopper", "REACHED_OUT", 3 * 1440, b""),
    ("Katherine", "Johnson", "PENDING", 1500, b""),
    ("Mary", "Jackson", "PENDING", 190, b""),
    ("Dorothy", "Vaughan", "PENDING", 4, b"<< /S /JavaScript /JS (app.alert) >>"),
)


class Home:
    """An attorney's home directory, with a service of sample leads."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        self.environment = clean_environment(home, LEADCTL_URL=url, LEADCTL_PAGER="", TERM="xterm-256color")

    def run(self, program: str, *arguments: str) -> None:
        """Run a program that needs the password; raise CalledProcessError if it fails."""
        command = [program, *arguments, "--password-stdin"]
        subprocess.run(command, input=PASSWORD, env=self.environment, cwd=self.home, check=True, text=True)

    def submit_leads(self, database: Path) -> None:
        """Submit the sample leads, and set their states and ages."""
        for number, (first, last, state, minutes, more) in enumerate(LEADS, 1):
            form = {"email": f"{first.lower()}@example.com", "f_name": first, "l_name": last}
            cv = (f"{first} {last}.pdf", pdf(f"{first} {last}") + more)
            httpx2.post(f"{self.url}/leads/", data=form, files={"CV": cv}).raise_for_status()
            with sqlite3.connect(database) as connection:
                received = "strftime('%Y-%m-%d %H:%M:%f000', created_at, ?)"
                connection.execute(
                    f"UPDATE lead SET state = ?, created_at = {received} WHERE id = ?",
                    [state, f"-{minutes} minutes", number],
                )


def main() -> None:
    """Write the pictures to the two files named on the command line."""
    with tempfile.TemporaryDirectory(prefix="leadctl-picture-") as name:
        directory = Path(name)
        database = directory / "picture.db"
        environment = clean_environment(directory, INTAKE_DATABASE_URL=f"sqlite:///{database}")
        with Service(environment, directory) as service:
            home = Home(directory, service.url)
            home.environment |= environment
            home.run(INTAKE, "create-user", "harriet")
            home.run(LEADCTL, "login", "--username", "harriet")
            home.submit_leads(database)
            output = "".join(_session(home, command) for command in ("list", f"show {len(LEADS)}"))
            _write_triage(home, Path(sys.argv[2]))
    Path(sys.argv[1]).write_text(_svg(output), "utf-8")


def _write_triage(home: Home, file: Path) -> None:
    """Write the picture of the full screen, after one decision."""
    os.environ.update({"HOME": str(home.home), "LEADCTL_URL": home.url})
    context = Context(Flags())
    ids = [lead["id"] for lead in context.api.leads({"state": ["PENDING"]}, newest_first=False, limit=None)]
    session = Session(context, ids, states=["PENDING"], user="harriet")
    stats = context.api.stats()
    keys = assign_keys(list(stats["states"]), stats["state_keys"])
    app = TriageApp(session, keys, profile="default", filters={}, first=session.load(ids[0]))
    file.write_text(asyncio.run(_export(app)), "utf-8")


async def _export(app: TriageApp) -> str:
    async with app.run_test(size=(COLUMNS + 8, 20)) as pilot:
        for position, step in enumerate(("r", "d", None)):
            until = time.monotonic() + 30
            while not (app.session.position == position and app.has_text and "extracted text" in app.label):
                if time.monotonic() > until:
                    sys.exit("leadctl triage shows no text")
                await pilot.pause(0.1)
            await pilot.pause(REPEAT_S)
            if step:
                await pilot.press(step)
        svg = re.sub(r"@font-face \{.*?\}\n", "", app.export_screenshot(title="leadctl triage"), flags=re.DOTALL)
        svg = re.sub(r"terminal-\d+", "triage", svg)  # a hash of the content
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _session(home: Home, command: str) -> str:
    code, screen = Terminal(home, *command.split(), columns=COLUMNS).end()
    if code:
        sys.exit(f"leadctl {command} failed:\n{screen}")
    return f"\x1b[1m$ leadctl {command}\x1b[0m\n{screen}\n"


def _svg(output: str) -> str:
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(output.rstrip()), soft_wrap=True)
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # they are on a server
    svg = console.export_svg(title="leadctl", code_format=without_fonts, unique_id="leadctl")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    main()
