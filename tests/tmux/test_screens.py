"""The screens of `leadctl triage` in tmux, compared with stored ones (to store new ones: TRIAGE_SCREENS=1).

Names and texts have wide, combining, right-to-left and control characters.
"""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leadctl.conftest import Client, admin, administrators_home, anonymous, client, logged_in, service, worker
from tests.system.programs import LEADCTL

__all__ = ["admin", "administrators_home", "anonymous", "client", "logged_in", "service", "worker"]
pytestmark = pytest.mark.usefixtures("worker")

SCREENS = Path(__file__).parent / "screens"
SIZES = ("60x15", "80x24", "99x30", "100x30", "120x40", "200x50")
TEXT = """Curriculum Vitae of 山田太郎
e\u0301va Bo\u0301 · שרה כהן · فاطمة
tab\there, a \u202ereversed\u202c word

Experience
2019–2025 Senior Engineer, Acme: led a team of twelve engineers that designed, built and ran a service for lawyers.
東京都千代田区丸の内一丁目九番一号東京都千代田区丸の内一丁目九番一号東京都千代田区丸の内一丁目九番一号
https://www.example.com/a/very/long/address/without/any/blank/that/must/be/broken/somewhere/because/it/fits/nowhere
"""


class Tmux:
    """A shell in a tmux window, on a server of its own."""

    def __init__(self, client: Client, size: str, socket: Path) -> None:
        self._socket = str(socket)
        columns, rows = size.split("x")
        environment = client.environment | {"PS1": "$ ", "LANG": "C.UTF-8"}
        command = ["new-session", "-d", "-x", columns, "-y", rows, "bash --norc --noprofile"]
        subprocess.run(["tmux", "-u", "-S", self._socket, "-f", "/dev/null", *command], env=environment, check=True)

    def run(self, *arguments: str) -> str:
        command = ["tmux", "-S", self._socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def type(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    @property
    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self.run("capture-pane", "-p").splitlines())

    def until(self, *texts: str) -> str:
        """Wait for the texts, then for the screen to stay the same, and return it."""
        until, before = time.monotonic() + 40, ""
        while True:
            screen = self.screen
            if all(text in screen for text in texts) and screen == before:
                return screen
            assert time.monotonic() < until, screen
            before = screen
            time.sleep(0.3)


@pytest.fixture
def name() -> str:
    return f"Ivan{time.monotonic_ns() % 10**9:09}"


@pytest.fixture
def lead(client: Client, name: str) -> int:
    fields = {"f_name": f"{name} 山田", "l_name": "e\u0301va שרה", "email": f"{name.lower()}@firm.example"}
    return client.submit(cv=TEXT.encode(), cv_name="41.txt", **fields)


@pytest.fixture
def tmux(client: Client, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Tmux]:
    window = Tmux(client, request.param, tmp_path / "tmux")
    yield window
    window.run("kill-server")


def start(tmux: Tmux, name: str) -> str:
    tmux.type(f"clear; {shlex.quote(LEADCTL)} triage --f-name '{name}*'; echo code $?", "Enter")
    return tmux.until("layout lost", "quit")


def compare(screen: str, file: Path, lead: int, name: str) -> None:
    """Compare the screen with the stored one; numbers that differ between runs keep their widths."""
    digits = str(lead)
    shown = screen.replace(name, "Ivan000000000").replace(name.lower(), "ivan000000000")
    shown = re.sub(rf"Lead {digits} · PENDING · waiting \d+ (min|h)( *)", r"Lead N · PENDING · waiting T ", shown)
    shown = re.sub(r"waiting T +", "waiting T ", shown)
    if os.environ.get("TRIAGE_SCREENS"):
        file.write_text(f"{shown}\n", "utf-8")
    assert f"{shown}\n" == file.read_text("utf-8")


@pytest.mark.parametrize(("tmux", "size"), [(size, size) for size in SIZES], indirect=["tmux"])
def test_the_screen_is_the_stored_one(tmux: Tmux, size: str, lead: int, name: str) -> None:
    compare(start(tmux, name), SCREENS / f"{size}.txt", lead, name)


@pytest.mark.parametrize("tmux", ["120x40"], indirect=True)
def test_a_resize_changes_the_layout_and_back(tmux: Tmux, lead: int, name: str) -> None:
    first = start(tmux, name)
    tmux.run("resize-window", "-x", "80", "-y", "24")
    compare(tmux.until(f"<{name.lower()}@firm.example>"), SCREENS / "80x24.txt", lead, name)
    tmux.run("resize-window", "-x", "50", "-y", "24")
    tmux.until("Enlarge the window")
    tmux.run("resize-window", "-x", "120", "-y", "40")
    assert tmux.until("│") == first


@pytest.mark.parametrize("tmux", ["80x24"], indirect=True)
def test_the_screen_before_is_there_again(client: Client, tmux: Tmux, lead: int, name: str) -> None:
    tmux.type("echo before", "Enter")
    tmux.until("echo before\nbefore")
    for keys, text in ((["q"], "code 0"), (["C-z"], "Stopped")):
        first = start(tmux, name)
        tmux.type(*keys)
        tmux.until(text)
        assert "layout lost" not in tmux.screen
    tmux.type("clear; fg", "Enter")
    assert tmux.until("layout lost") == first
    time.sleep(1)
    tmux.type("e")
    tmux.until("ENGAGED (u undoes)")
    tmux.type("q")
    tmux.until("1 decided (1 ENGAGED)")
    assert client.state(lead) == "ENGAGED"
