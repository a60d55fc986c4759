"""Links, pipes and devices as output files."""

import os
from pathlib import Path

import pytest

from leadctl.errors import LeadctlError
from leadctl.files.filenames import check_target


def test_only_another_users_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(tmp_path / "elsewhere")
    file.touch()
    for path in (link, file, tmp_path / "missing"):
        check_target(path)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    check_target(file)
    with pytest.raises(LeadctlError, match="symbolic link of another user"):
        check_target(link)


def test_only_another_users_pipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_target(tmp_path / "pipe")
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(LeadctlError, match="pipe of another user"):
        check_target(tmp_path / "pipe")


def test_only_the_null_device_is_accepted() -> None:
    check_target(Path("/dev/null"))
    with pytest.raises(LeadctlError, match="is a device"):
        check_target(Path("/dev/full"))
