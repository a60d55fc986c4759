"""The README's pictures of leadctl."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

PICTURES = (Path("docs/leadctl.svg"), Path("docs/triage.svg"))


def words(picture: Path) -> str:
    """Return the picture's text, without numbers, which differ on each run."""
    svg = ET.parse(picture).getroot()
    return re.sub(r"\b[0-9a-f]*\d[0-9a-f]*\b|\d+", "#", " ".join("".join(svg.itertext()).split()))


def test_the_pictures_show_this_version(tmp_path: Path) -> None:
    made = [tmp_path / picture.name for picture in PICTURES]
    subprocess.run([sys.executable, "-m", "tests.system.picture", *map(str, made)], check=True, capture_output=True)
    for picture, new in zip(PICTURES, made, strict=True):
        assert words(picture) == words(new), "run: make picture"
        links = re.sub("http://www.w3.org|https://www.textualize.io", "", picture.read_text("utf-8"))
        assert "http" not in links
