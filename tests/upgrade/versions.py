"""The previous version, as .ci/previous-commit names it, and this version with further migrations."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Mapping
from pathlib import Path

from tests.migrations.made import ADD_COLUMN, CREATE_INDEX, CREATE_TABLE, ROOT, write_steps
from tests.system.programs import BIN, Service

NAMED = ROOT / ".ci/previous-commit"
PINS = "requirements/server.txt"


class PreviousVersionMissing(Exception):
    """The previous version can't be read from the repository; the text says what to do."""


class Version:
    """A version of the program in a directory of its own."""

    def __init__(self, tree: Path, environment: Mapping[str, str], directory: Path) -> None:
        self._directory = directory
        self._environment = {**environment, "PYTHONPATH": str(tree)}
        self._command = (str(_python(tree)), "-m", "intake")

    def run(self, *arguments: str, typed: str = "", **settings: str) -> str:
        """Run a command to its end, and return its messages. Raises AssertionError if it fails."""
        done = subprocess.run(
            [*self._command, *arguments],
            env={**self._environment, **settings},
            cwd=self._directory,
            input=typed,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def start(self, *arguments: str, **settings: str) -> Service:
        """Start a replica, or another long-running command."""

        class Program(Service):
            program = self._command

        return Program({**self._environment, **settings}, self._directory, *arguments)


def previous_tree(tree: Path, root: Path = ROOT) -> Path:
    """Write the previous version to a directory. Raises PreviousVersionMissing."""
    commit = (root / NAMED.relative_to(ROOT)).read_text().strip()
    if git(root, "rev-parse", "--git-dir").returncode:
        raise PreviousVersionMissing(f"{root} has no Git history: clone the repository to test upgrades from {commit}")
    if git(root, "merge-base", "--is-ancestor", commit, "HEAD").returncode:
        if git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true":
            raise PreviousVersionMissing(f"the clone is shallow and lacks {commit}: run git fetch --unshallow")
        raise PreviousVersionMissing(f"HEAD does not descend from {commit}: correct {NAMED.relative_to(ROOT)}")
    archive = git(root, "archive", "--format=tar", commit).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tree, filter="data")
    return tree


def next_tree(tree: Path) -> Path:
    """Write this version with further migrations, each of another kind, to a directory."""
    tree.mkdir()
    (tree / "intake").symlink_to(ROOT / "intake")
    (tree / "requirements").symlink_to(ROOT / "requirements")
    shutil.copytree(ROOT / "alembic", tree / "alembic", ignore=shutil.ignore_patterns("__pycache__"))
    write_steps(tree / "alembic", ADD_COLUMN, CREATE_INDEX, CREATE_TABLE)
    return tree


def git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in the repository at `root`, never in one around it."""
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)}
    return subprocess.run(["git", *arguments], cwd=root, env=environment, capture_output=True)


def _python(tree: Path) -> Path:
    """Return a Python with the packages that the version pins: ours, if the pins are equal (they have hashes)."""
    if (tree / PINS).read_bytes() == (ROOT / PINS).read_bytes():
        return Path(sys.executable)
    venv.create(tree / ".venv")
    python = tree / ".venv/bin/python"
    for what in (("--require-hashes", "-r", PINS), ("--no-deps", "--build-constraints", "requirements/dev.txt", ".")):
        subprocess.run([BIN / "uv", "pip", "install", "--quiet", "--python", python, *what], cwd=tree, check=True)
    return python
