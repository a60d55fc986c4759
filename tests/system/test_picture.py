"""The README's picture of leadctl."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

PICTURE = Path("docs/leadctl.svg")


def words(picture: Path) -> str:
    """Return the picture's text, without numbers, which differ on each run."""
    svg = ET.parse(picture).getroot()
    return re.sub(r"\b[0-9a-f]*\d[0-9a-f]*\b|\d+", "#", " ".join("".join(svg.itertext()).split()))


def test_the_picture_shows_this_version(tmp_path: Path) -> None:
    made = tmp_path / "new.svg"
    subprocess.run([sys.executable, "-m", "tests.system.picture", str(made)], check=True, capture_output=True)
    assert words(PICTURE) == words(made), "run: make picture"
    assert "http" not in PICTURE.read_text("utf-8").replace("http://www.w3.org", "").replace(
        "https://www.textualize.io", ""
    )
