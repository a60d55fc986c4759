"""The program `leadctl`, also as `python -m leadctl`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C exits silently, also during the imports, which take most of the start-up time."""
    try:
        from leadctl.cli import main as run  # noqa: PLC0415 - inside the try

        run()
    except KeyboardInterrupt:
        from leadctl.errors import ExitCode  # noqa: PLC0415 - only after Ctrl-C

        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
