"""Consistency of documents and code."""

import dataclasses
import re
import tomllib
from pathlib import Path

import typer

from intake.app import Surface
from intake.cli import app as intake_app
from intake.database.engine import IDLE_TIMEOUT_S, LOCK_TIMEOUT_S, STATEMENT_TIMEOUT_S
from intake.errors import FIELD_ERROR_CODES
from intake.mail.messages import _SAMPLE, MessageBuilder
from intake.metrics import Metrics, QueueCounts
from intake.settings import Settings
from intake.settings.parsers import Mailbox
from intake.workers import WORKER_CONNECTIONS
from leadctl.cli import COMMANDS
from leadctl.errors import ExitCode

ROOT = Path(__file__).parents[2]
USER_DOCUMENTS = ("README.md", "docs/leadctl.md", "docs/operations.md", "docs/api.md", "docs/clients.md")


def document(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def first_column(text: str, pattern: str) -> list[str]:
    """Return the pattern's matches in the first column of tables."""
    return re.findall(rf"^\| {pattern} \|", text, re.MULTILINE)


def test_documented_settings_match_the_code() -> None:
    names = [item.metadata["name"] for item in dataclasses.fields(Settings)]
    assert first_column(document("docs/operations.md"), r"`(INTAKE_\w+)`") == names
    for text in map(document, (*USER_DOCUMENTS, "docker-compose.yml", "Dockerfile")):
        assert set(re.findall(r"INTAKE_[A-Z_]+[A-Z]", text)) <= set(names)


def test_documented_template_variables_match_the_code() -> None:
    builder = MessageBuilder(Settings(mail_from=Mailbox("intake@firm.example")))
    variables = {name: builder._values(name, _SAMPLE) for name in ("confirmation", "alert", "digest")}
    for name, values in variables.items():
        values.update({f"lead.{key}": value for key, value in values.get("lead", {}).items()})  # type: ignore[attr-defined]
        values.update({f"lead.{key}": value for lead in values.get("leads", ()) for key, value in lead.items()})  # type: ignore[attr-defined]
        rows = re.findall(
            r"^\| `([a-zA-Z_.]+)` \| (all|[a-z]+(?:, [a-z]+)*) \|", document("docs/operations.md"), re.MULTILINE
        )
        assert {variable for variable, used_in in rows if used_in == "all" or name in used_in.split(", ")} == set(
            values
        )


def test_documented_codes_of_field_errors_match_the_code() -> None:
    section = document("docs/api.md").partition("### Codes of errors in fields")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    assert {code: tuple(re.findall(r"`(\w+)`", params)) for code, params in rows} == FIELD_ERROR_CODES


def test_documented_routes_match_the_code() -> None:
    routes = [
        f"{operation.method} {operation.path}"
        for operations, _ in Surface.ALL.apis(Settings())
        for operation in operations
    ]
    assert first_column(document("docs/api.md"), r"`((?:GET|POST|PUT|PATCH|DELETE) /\S*)`") == routes


def test_documented_commands_match_the_code() -> None:
    readme = document("README.md")
    assert first_column(readme, r"`leadctl ([a-z-]+)`") == list(COMMANDS)
    group = typer.main.get_command(intake_app)
    assert first_column(readme, r"`intake ([a-z-]+)`") == list(group.commands)  # type: ignore[attr-defined]
    for text in map(document, USER_DOCUMENTS):
        assert set(re.findall(r"^(?:.*\| )?leadctl (?:--[a-z]+ \S+ )*([a-z-]+)", text, re.MULTILINE)) <= set(COMMANDS)


def test_documented_metrics_match_the_code() -> None:
    metrics = Metrics()
    metrics.queues = QueueCounts(0, 0, 0.0, 0, 0)
    exposed = set(re.findall(r"^# TYPE (intake_\w+) ", metrics.exposition().decode(), re.MULTILINE))
    exposed = {name for name in exposed if not name.endswith("_created")}
    section = document("docs/operations.md").partition("\n## Monitoring")[2].partition("\n### Logs")[0]
    assert set(re.findall(r"\bintake_\w+", section)) == exposed
    named = set(re.findall(r"\bintake_\w+", document("ops/alerts.yml") + document("ops/dashboard.json")))
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in named} <= exposed


def test_each_alert_has_an_entry_in_the_runbook() -> None:
    rules = document("ops/alerts.yml")
    alerts = re.findall(r"- alert: (\w+)", rules)
    section = document("docs/operations.md").partition("\n## Alerts")[2].partition("\n## ")[0]
    assert re.findall(r"^### (\w+)$", section, re.MULTILINE) == alerts
    assert re.findall(r"runbook_url: \S+/docs/operations\.md#(\w+)", rules) == [name.lower() for name in alerts]


def test_documented_exit_codes_match_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", document("docs/leadctl.md"), re.MULTILINE)
    assert rows == [(str(int(code)), code.meaning) for code in ExitCode]


def test_documented_connection_counts_and_timeouts_match_the_code() -> None:
    operations = " ".join(document("docs/operations.md").split())
    settings = Settings(database_url="postgresql+psycopg2:///intake")
    for surface in Surface:
        flag = "" if surface is Surface.ALL else f" --surface {surface}"
        alone = surface.connections(settings)
        both = alone + WORKER_CONNECTIONS
        assert f"`intake serve{flag}` opens at most {both} connections ({alone} with `--no-worker`)" in operations
    assert f"`intake worker` {WORKER_CONNECTIONS}," in operations
    limits = (
        f"{STATEMENT_TIMEOUT_S} seconds, waiting for a lock to {LOCK_TIMEOUT_S}, and doing nothing to {IDLE_TIMEOUT_S}."
    )
    assert limits in operations


def test_every_dependency_is_documented_and_pinned() -> None:
    project = tomllib.loads(document("pyproject.toml"))
    extra = project["project"]["optional-dependencies"]["server"]
    wanted = {re.split(r"[<>=;]", line)[0] for line in (*project["project"]["dependencies"], *extra)}
    architecture = document("docs/architecture.md")
    rows = re.findall(
        r"^\| ([a-z][\w, -]*?)(?: \([\d.]+\))? \|", architecture.partition("## Dependencies")[2], re.MULTILINE
    )
    assert {name for row in rows for name in row.split(", ")} == wanted | {"package"}
    for name in (*wanted, *project["dependency-groups"]["dev"]):
        assert re.search(rf"^{name}==", document("requirements/dev.txt"), re.MULTILINE)
        assert name in architecture


def test_the_architecture_page_lists_every_package_in_200_lines() -> None:
    architecture = document("docs/architecture.md")
    assert len(architecture.splitlines()) <= 200
    listed = architecture.partition("## Packages")[2].partition("\n## ")[0]
    for program in ("intake", "leadctl"):
        for path in (ROOT / program).glob("*.py"):
            assert path.name.startswith("__") or f"| `{program}/{path.name}` |" in listed, path
    for top in ("intake", "leadctl", "stress", "benchmarks", "tests"):
        for package in (ROOT / top).rglob("__init__.py"):
            name = f"{package.parent.relative_to(ROOT)}/"
            in_tests_of_a_program = name.startswith(("tests/intake/", "tests/leadctl/")) and name.count("/") > 2
            if package.parent.name != top and name != "stress/" and not in_tests_of_a_program:
                assert f"`{name}`" in listed, name


def test_the_architecture_page_has_the_layers_that_are_enforced() -> None:
    table = document("docs/architecture.md").partition("| intake | leadctl |\n|---|---|\n")[2].partition("\n\n")[0]
    columns = zip(*(line.strip("| ").split(" | ") for line in table.replace("| |", "| - |").splitlines()), strict=True)
    contracts = tomllib.loads(document("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    enforced = [one["layers"] for one in contracts if one["type"] == "layers"]
    for column, layers in zip(columns, enforced, strict=True):
        documented = [set(re.findall(r"`(\w+)`", cell)) for cell in column if cell != "-"]
        assert documented == [set(layer.split(" | ")) for layer in layers if layer != "__main__"]


def test_files_on_the_architecture_page_exist() -> None:
    for path in re.findall(
        r"`((?:intake|leadctl|stress|benchmarks|tests|alembic)/[\w/.]*)`", document("docs/architecture.md")
    ):
        assert (ROOT / path).exists(), path


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    rows = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \|$", document("docs/decisions/README.md"), re.MULTILINE)
    assert [name for _, name, _ in rows] == sorted(path.name for path in folder.glob("[0-9]*.md"))
    for number, name, title in rows:
        assert name.startswith(number)
        assert document(f"docs/decisions/{name}").startswith(f"# {int(number)}. {title}\n")


def test_the_example_form_accepts_the_default_cv_extensions() -> None:
    [accept] = re.findall(r'accept="([^"]+)"', document("README.md"))
    assert accept.split(",") == [f".{extension}" for extension in Settings().cv_extensions]


def test_pinned_requirements_have_hashes_and_no_urls() -> None:
    for path in (ROOT / "requirements").iterdir():
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links|file://", text)


def test_every_image_is_pinned_to_a_version() -> None:
    text = document("Dockerfile") + document("docker-compose.yml")
    images = re.findall(r"(?:^FROM|\bimage:|# syntax=) *(\S+)", text, re.MULTILINE)
    pulled = [image for image in images if image != "leadctl-intake"]
    assert len(pulled) == 7
    for image in pulled:
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", image), image


def test_relative_links_lead_to_existing_files() -> None:
    documents = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    for name in (str(path.relative_to(ROOT)) for path in documents):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", document(name)):
            assert (ROOT / Path(name).parent / target).exists(), f"{name}: {target}"


def test_each_route_and_command_has_a_test_file() -> None:
    tests = {path.stem for folder in ("intake", "leadctl") for path in (ROOT / "tests" / folder).rglob("test_*.py")}
    for command in COMMANDS:
        covered_by = {"logout": "login", "whoami": "login", "show": "list"}.get(command, command)
        assert f"test_{covered_by.replace('-', '_')}" in tests
    for operations, _ in Surface.ALL.apis(Settings()):
        for operation in operations:
            name = operation.endpoint.__name__
            named = {f"test_{name}", f"test_{name.partition('_')[2]}", "test_health"}
            assert named & tests, name


def test_tests_cited_for_asvs_requirements_exist() -> None:
    rows = re.findall(r"^\| [\d., ]+ [^|]*\| (yes|no) \|[^|]*\| ([^|]*)\|$", document("docs/security.md"), re.MULTILINE)
    assert len(rows) > 50
    for holds, shown_by in rows:
        tests = re.findall(r"`(tests/\S+)::(test_\w+)`", shown_by)
        assert tests or holds == "no", shown_by
        for path, name in tests:
            assert f"def {name}(" in document(path), f"{path}::{name}"
