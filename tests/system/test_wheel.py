"""Contents of the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_wheel_contains_both_programs_and_migrations(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("leadctl-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"intake/migrations/env.py", "intake/migrations/versions/0001_leads_users_and_mail.py"} <= names
    assert {"intake/http/docs.html.jinja", "intake/mail/templates/alert.txt.jinja", "leadctl/cli.py"} <= names
    assert not [name for name in names if name.startswith(("tests", "alembic", "docs"))]
    metadata = zipfile.ZipFile(wheel).read(next(n for n in names if n.endswith("/METADATA"))).decode()
    client = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert {line.split()[1].split(">")[0].split("<")[0] for line in client} == {"httpx2", "rich", "textual", "typer"}
