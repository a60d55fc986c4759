"""How long leadctl takes to start, beside a bare typer app of ten commands; and to list one page.

Runs alternate, so that whatever else the machine does falls on all of them.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bulk_change import firm
from tests.system.programs import LEADCTL, clean_environment

RUNS = 21
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


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, firm("sqlite") as (service, _, token):
        bare = Path(directory) / "bare.py"
        bare.write_text(BARE)
        commands = {
            "a bare typer app of ten commands": [sys.executable, str(bare), "--version"],
            "leadctl --version": [LEADCTL, "--version"],
            "leadctl list -n 50": [LEADCTL, "list", "-n", "50"],
        }
        environment = clean_environment(Path(directory), LEADCTL_URL=service.url, LEADCTL_TOKEN=token)
        for command in commands.values():  # compiled, and in the system's cache
            run(command, environment)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(run(command, environment))
        report(times)


def run(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def report(times: dict[str, list[float]]) -> None:
    bare = statistics.median(next(iter(times.values())))
    for (name, taken), goal in zip(list(times.items())[1:], (1.15, 2.5), strict=True):
        spread = f"from {min(taken) * 1000:.0f} to {max(taken) * 1000:.0f} ms"
        ratio = statistics.median(taken) / bare
        print(f"{name}: {ratio:.2f}x the {bare * 1000:.0f} ms of a bare typer app ({spread}; the goal is {goal})")


if __name__ == "__main__":
    main()
