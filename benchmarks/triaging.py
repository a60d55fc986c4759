"""leadctl triage at a terminal: its first screen, compared with a bare Textual app, and the time from a key to a lead.

The server is 20 ms away. Each lead has a text of 100 KB, and the last one has the longest that is extracted, 1 MiB.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bulk_change import run
from benchmarks.measure import Result, Size, in_turn
from benchmarks.services import Deployment, deployed
from tests.leadctl.proxy import Proxy
from tests.system.programs import clean_environment
from tests.system.terminal import Terminal

AWAY_S = 0.02
DECIDED = 8  # leads of a round, before the last one
PAUSE_S = 1.0  # between decisions; a key that is pressed sooner is ignored
SHORT, LONG = 100_000, 2**20 - 20  # characters of a text, before which its number is
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("bare screen")
Bare().run()
"""


@dataclass
class _Home:
    """Where a program runs at a terminal."""

    environment: dict[str, str]
    home: Path


def results(size: Size) -> Iterator[Result]:
    """Yield the milliseconds to the first screen, and from a key to the next lead's name and text."""
    with deployed("sqlite", leads=(DECIDED + 1) * size.rounds) as deployment, Proxy(deployment.service.url) as proxy:
        proxy.delay_s = AWAY_S
        _name_leads(deployment)
        home = _Home(
            clean_environment(deployment.files, LEADCTL_URL=proxy.url, LEADCTL_TOKEN=deployment.token, TERM="xterm"),
            deployment.files,
        )
        bare = deployment.files / "bare.py"
        bare.write_text(BARE)
        _first_screen(home, "bare screen", sys.executable, str(bare))  # compile bytecode
        names, texts, long_texts = list[float](), list[float](), list[float]()
        numbers = iter(range(size.rounds))

        def triage() -> float:
            first, *others, last = range(1 + (begin := next(numbers) * (DECIDED + 1)), begin + DECIDED + 2)
            began = time.perf_counter()
            terminal = Terminal(home, "triage", "--email", f"round{begin}@*")
            terminal.read_until(f"name{first}.")
            started_ms = _since_ms(began)
            terminal.read_until(f"text{first}.")
            taken = [_decide(terminal, number) for number in (*others, last)]
            terminal.type("q")
            terminal.end()
            names.append(statistics.median(name for name, _ in taken))
            texts.append(statistics.median(text for _, text in taken))
            long_texts.append(taken[-1][1])
            return started_ms

        sides = {"bare": lambda: _first_screen(home, "bare screen", sys.executable, str(bare)), "triage": triage}
        figures = in_turn(size, sides)
    yield Result(
        work="leadctl triage, first screen, server 20 ms away",
        beside="a bare Textual app",
        unit="ms",
        ours=figures["triage"],
        theirs=figures["bare"],
        goal=2,
        at_most=True,
    )
    for work, ours, goal in (("name", names, 100), ("text", texts, 150), ("text of 1 MiB", long_texts, 150)):
        yield Result(
            work=f"leadctl triage, from a decision to the next lead's {work}",
            beside="",
            unit="ms",
            ours=ours,
            theirs=(),
            goal=goal,
            at_most=True,
            is_detail=work != "text",
        )


def _decide(terminal: Terminal, following: int) -> tuple[float, float]:
    """Press the key of a state; return the milliseconds until the next lead's name and its text are shown."""
    time.sleep(PAUSE_S)
    began = time.perf_counter()
    terminal.type("r")
    terminal.read_until(f"name{following}.")
    name_ms = _since_ms(began)
    terminal.read_until(f"text{following}.")
    return name_ms, _since_ms(began)


def _first_screen(home: _Home, text: str, program: str, *arguments: str) -> float:
    began = time.perf_counter()
    terminal = Terminal(home, *arguments, program=program)
    terminal.read_until(text)
    taken_ms = _since_ms(began)
    terminal.process.terminate()
    terminal.end()
    return taken_ms


def _since_ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _name_leads(deployment: Deployment) -> None:
    """Give each lead a name and a text of its own, and all leads of a round one address."""
    each = DECIDED + 1
    words = "replace(hex(zeroblob(90000)), '00', 'words of a CV ')"
    text = f"'text' || lead_id || '. ' || substr({words}, 1, iif(lead_id % {each} = 0, {LONG}, {SHORT}))"
    run(
        deployment.url,
        f"UPDATE lead SET state = 'PENDING', f_name = 'name' || id || '.',"
        f" email_key = 'round' || ((id - 1) / {each} * {each}) || '@example.com'",
        f"INSERT INTO cv_text (lead_id, state, text, pages) SELECT lead_id, 'done', {text}, '[]' FROM cv",
    )
