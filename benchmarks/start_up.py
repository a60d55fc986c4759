"""Start-up time of leadctl and of listing a page, compared with a bare typer app of ten commands."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from benchmarks.measure import Result, Size, in_turn
from benchmarks.services import deployed
from tests.system.programs import LEADCTL, clean_environment

RUNS = 3  # in a round
PAGE = 50
BARE = """
import typer
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version")) -> None:
    if version:
        typer.echo("bare 1.0")
        raise typer.Exit
for number in range(10):
    @app.command(f"command-{number}")
    def command(name: str, count: int = 1, loud: bool = False) -> None:
        typer.echo(name * count)
app()
"""


def results(size: Size) -> Iterator[Result]:
    """Yield the run time of each command, compared with the bare app."""
    with deployed("sqlite", leads=PAGE) as deployment:
        bare = deployment.files / "bare.py"
        bare.write_text(BARE)
        commands = {
            "bare": [sys.executable, str(bare), "--version"],
            "leadctl --version": [LEADCTL, "--version"],
            f"leadctl list -n {PAGE}": [LEADCTL, "list", "-n", str(PAGE)],
        }
        environment = clean_environment(
            deployment.files, LEADCTL_URL=deployment.service.url, LEADCTL_TOKEN=deployment.token
        )
        for command in commands.values():  # compile bytecode and fill the page cache
            _run(command, environment)
        sides = {name: partial(_median, command, environment) for name, command in commands.items()}
        taken = in_turn(size, sides)
    for (name, ours), goal in zip(list(taken.items())[1:], (1.15, 2.2), strict=True):
        beside = "a bare typer app"
        yield Result(
            work=name,
            beside=beside,
            unit="ms",
            ours=ours,
            theirs=taken["bare"],
            goal=goal,
            at_most=True,
            is_detail="list" not in name,
        )


def _median(command: Sequence[str], environment: Mapping[str, str]) -> float:
    return statistics.median(_run(command, environment) for _ in range(RUNS))


def _run(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command and return the milliseconds."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000
