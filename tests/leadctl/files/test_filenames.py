"""Symbolic links as output files."""

import os
from pathlib import Path

import pytest

from leadctl.errors import LeadctlError
from leadctl.files.filenames import check_link


def test_only_another_users_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(tmp_path / "elsewhere")
    file.touch()
    for path in (link, file, tmp_path / "missing"):
        check_link(path)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    check_link(file)
    with pytest.raises(LeadctlError, match="symbolic link of another user"):
        check_link(link)
