"""Conformance of a real service with its OpenAPI description (`make test-schema`).

schemathesis generates valid and invalid requests as an administrator, as an attorney and anonymously, on both
databases. The exit code is 1 if a response is a 5xx, or if its status, media type, schema or headers are not
described.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from intake.users import accounts
from stress.durability import tally
from stress.durability.deployment import PASSWORD, POSTGRESQL, SQLITE, USERNAME, Deployment, Site, deployed
from stress.durability.load import Prospect, client, submit
from tests.system.programs import BIN, clean_environment
from tests.system.relay import Relay

ROLES = ("admin", "attorney", None)
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
    "ignored_auth",
)
LEADS = 5
PEER = "peter"


def main() -> None:
    """Run schemathesis for each role on each database."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.schemathesis_run", description=__doc__)
    parser.add_argument(
        "--examples", type=int, default=10, help="approximate number of requests per operation and phase"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the generated requests")
    parser.add_argument("--database", choices=[SQLITE, POSTGRESQL], help="default: both")
    arguments = parser.parse_args()
    kinds = [arguments.database] if arguments.database else [SQLITE, POSTGRESQL]
    with Site(tally.SMALL) as site:
        runs = [_holds(site, kind, role, arguments) for kind in kinds for role in ROLES]
    sys.exit(not all(runs))


def _holds(site: Site, kind: str, role: str | None, arguments: argparse.Namespace) -> bool:
    with _service(site, kind) as url, tempfile.TemporaryDirectory() as directory:
        print(f"As {role or 'an anonymous client'}, on {kind}", flush=True)
        command = [str(BIN / "st"), "run", f"{url}/internal/openapi.json", "--checks", ",".join(CHECKS)]
        command += ["--max-examples", str(arguments.examples), "--seed", str(arguments.seed)]
        command += ["--continue-on-failure", "--no-color", "--warnings", "off", "--suppress-health-check", "all"]
        command += ["--phases", "examples,coverage,fuzzing"]
        if role:
            command += ["--header", f"Authorization: Bearer {_token(url, role)}"]
        return subprocess.run(command, cwd=directory, env=clean_environment(Path(directory))).returncode == 0


@contextmanager
def _service(site: Site, kind: str) -> Iterator[str]:
    """Yield the URL of a service with some leads, an administrator and an attorney."""
    with deployed(site, kind, Relay(), INTAKE_RATE_LIMIT="off") as deployment:
        _make_attorney(deployment)
        url = deployment.serve().url
        with client() as at:
            for number in range(1, LEADS + 1):
                assert submit(at, url, Prospect(number), b"%PDF-1.4 a CV").kind == "204"
        yield url


def _make_attorney(deployment: Deployment) -> None:
    accounts.create_user(deployment.database, username=PEER, password=PASSWORD, role="attorney")


def _token(url: str, role: str) -> str:
    credentials = {"username": USERNAME if role == "admin" else PEER, "password": PASSWORD}
    with client() as at:
        return str(at.post(f"{url}/internal/auth/login", json=credentials).json()["access_token"])


if __name__ == "__main__":
    main()
