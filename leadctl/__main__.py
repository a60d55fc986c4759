"""The program `leadctl`, also as `python -m leadctl`."""

import sys


def main() -> None:
    """Run the command line. Ctrl-C exits silently, also during the imports, which take most of the start-up time."""
    try:
        from leadctl.cli import main as run  # noqa: PLC0415 - inside the try, as all imports that take time

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # ExitCode.INTERRUPTED, whose import a second Ctrl-C could interrupt


if __name__ == "__main__":
    main()
