"""The Compose file, systemd units and Kubernetes manifests, checked by their own tools; run by `make test-ops`."""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from shutil import copytree
from typing import Any, NamedTuple

import httpx2
import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from intake.cv_text import sandbox
from intake.settings import Settings, unknown_names
from leadctl import __version__
from tests.conftest import SECRET, Databases
from tests.ops.programs import OPS, output_of, program
from tests.system.demo import pdf
from tests.system.programs import INTAKE, Service, clean_environment, until

UNITS = OPS / "systemd"
COMMON = UNITS / "intake-.service.d" / "common.conf"
SERVICES = ("intake-serve@public", "intake-serve@internal", "intake-worker", "intake-migrate", "intake-backup")
HIGHEST_EXPOSURE = "20"  # 2.0 of 10
PASSWORD = "correct horse battery"
UNPINNED = "leadctl-intake"  # built from the Dockerfile


@cache
def compose() -> dict[str, Any]:
    """Return docker-compose.yml as Compose understands it."""
    environment = {"PATH": os.environ["PATH"], "POSTGRES_PASSWORD": "password", "INTAKE_JWT_SECRET": SECRET}
    command = [program("docker-compose", "docker-compose"), "--profile", "replicas", "config"]
    made: dict[str, Any] = YAML(typ="safe").load(output_of(*command, environment=environment))
    return made


def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k ops/kubernetes` would create."""
    return built(tmp_path_factory.mktemp("kubernetes"))


def built(directory: Path) -> list[dict[str, Any]]:
    copytree(OPS / "kubernetes", directory, dirs_exist_ok=True)
    secrets = (directory / "secrets.env.example").read_text()
    (directory / "secrets.env").write_text(secrets.replace("=REPLACE", f"={SECRET}"))
    return list(YAML(typ="safe").load_all(output_of(Path(sys.executable).with_name("kubectl"), "kustomize", directory)))


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the objects of a kind by name."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def pods(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the pods' specifications by name."""
    return {
        name: found["spec"]["template"]["spec"]
        for kind in ("Deployment", "Job")
        for name, found in named(objects, kind).items()
    }


class Process(NamedTuple):
    """A process that a deployment file starts."""

    name: str
    arguments: list[str]
    environment: Mapping[str, str]
    killed_after: str | None


def containers() -> Iterator[Process]:
    for name, service in services().items():
        if service["image"] == UNPINNED:
            yield Process(name, service["command"], service["environment"], service.get("stop_grace_period"))


def units() -> Iterator[Process]:
    common = dict(entry.split("=", 1) for entry in re.findall(r"^Environment=(.*)$", COMMON.read_text(), re.MULTILINE))
    for file in UNITS.glob("*.service"):
        text = file.read_text()
        killed_after = re.search(r"^TimeoutStopSec=(.*)$", text, re.MULTILINE)
        [command] = re.findall(r"/opt/intake/bin/intake (.*)$", text, re.MULTILINE)
        yield Process(file.name, command.split(), common, killed_after and killed_after[1])


def pod_processes(objects: list[dict[str, Any]]) -> Iterator[Process]:
    def value(variable: dict[str, Any]) -> str:
        if "value" in variable:
            return str(variable["value"])
        reference = variable["valueFrom"]["secretKeyRef"]
        encoded: str = named(objects, "Secret")[reference["name"]]["data"][reference["key"]]
        return base64.b64decode(encoded).decode()

    settings = named(objects, "ConfigMap")
    for name, pod in pods(objects).items():
        [container] = pod["containers"]
        environment = {variable["name"]: value(variable) for variable in container["env"]}
        for source in container.get("envFrom", ()):
            environment |= settings[source["configMapRef"]["name"]]["data"]
        seconds = pod.get("terminationGracePeriodSeconds")
        yield Process(name, container["args"], environment, seconds and f"{seconds}s")


@pytest.fixture(scope="module")
def processes(objects: list[dict[str, Any]]) -> list[Process]:
    """All processes of all deployment files."""
    return [*containers(), *units(), *pod_processes(objects)]


def test_supervisors_wait_until_a_process_has_drained_and_stopped(processes: list[Process]) -> None:
    running = [process for process in processes if process.arguments[0] in ("serve", "worker")]
    assert len(running) == 5 + 2 + 3
    for process in running:
        settings = Settings.from_environment(process.environment)
        assert settings.drain_s == 10, process.name
        assert process.killed_after == f"{settings.drain_s + settings.shutdown_grace_s + 5:g}s", process.name


def test_all_settings_exist_and_are_valid(processes: list[Process]) -> None:
    for process in processes:
        assert unknown_names(process.environment) == [], process.name
        Settings.from_environment(process.environment)
    for file in (path for path in OPS.rglob("*") if path.is_file()):
        assert unknown_names(dict.fromkeys(re.findall(r"\bINTAKE_[A-Z_]+", file.read_text()), "")) == [], file


def test_only_the_internal_surface_has_the_secret_of_tokens(processes: list[Process]) -> None:
    for surface, has_secret in (("public", False), ("internal", True)):
        serving = [process for process in processes if process.arguments[-2:] == ["--surface", surface]]
        assert [bool(process.environment.get("INTAKE_JWT_SECRET")) for process in serving] == [has_secret] * 2


def test_every_image_is_pinned_to_a_version(objects: list[dict[str, Any]]) -> None:
    for name, service in services().items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-p\d+)?$", service["image"]) or service["image"] == UNPINNED, name
    for name, pod in pods(objects).items():
        [container] = pod["containers"]
        assert container["image"].endswith(f"/{UNPINNED}:{__version__}"), name


def test_the_profile_adds_replicas_to_the_simple_services() -> None:
    profiles = {name: service.get("profiles", []) for name, service in services().items()}
    assert {name for name, its in profiles.items() if its == []} == {
        *("database", "migrate", "intake", "worker", "mail"),
    }
    assert {name for name, its in profiles.items() if its == ["replicas"]} == {
        *("proxy", "public", "internal", "workers", "pgbouncer", "valkey"),
    }


def test_only_the_proxy_reaches_the_replicas_from_outside() -> None:
    address = services()["proxy"]["networks"]["proxied"]["ipv4_address"]
    [pool] = compose()["networks"]["proxied"]["ipam"]["config"]
    assert ip_address(address) in ip_network(pool["subnet"])
    assert ip_address(address) not in ip_network(pool["ip_range"]), "a replica could get the proxy's address"
    for replica in (services()["public"], services()["internal"]):
        assert replica["environment"]["INTAKE_TRUSTED_PROXIES"] == address
        assert "proxied" in replica["networks"]
        assert "ports" not in replica, "a published port would prevent a second replica"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of the units that starts the program under test."""
    copied = copytree(UNITS, tmp_path / "units")
    for file in copied.glob("*.service"):
        file.write_text(file.read_text().replace("/opt/intake/bin/intake", INTAKE))
    return copied


def analyze(units: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{units}:"}
    return output_of(program("systemd-analyze", "systemd"), *arguments, environment=environment)


def test_systemd_understands_the_units(installed: Path) -> None:
    everything = [f"{service}.service" for service in SERVICES] + ["intake-backup.timer"]
    assert analyze(installed, "verify", "--man=no", *everything) == ""


@pytest.mark.parametrize("service", SERVICES)
def test_units_are_confined(installed: Path, service: str) -> None:
    threshold = f"--threshold={HIGHEST_EXPOSURE}"
    assert "OK" in analyze(installed, "security", "--offline=true", threshold, f"{service}.service")


class RestrictedService(Service):
    """A service with the system call filters of the units."""

    program = (sys.executable, str(Path(__file__).with_name("restricted.py")), str(COMMON), INTAKE)


def test_services_and_cv_sandbox_work_under_the_units_filters(databases: Databases, tmp_path: Path) -> None:
    program("systemd-analyze", "systemd")
    settings = {"INTAKE_DATABASE_URL": databases.migrated_url(), "INTAKE_JWT_SECRET": SECRET}
    environment = clean_environment(tmp_path, **settings, INTAKE_CV_SANDBOX="best-effort")
    subprocess.run(
        [*RestrictedService.program, "create-user", "ada", "--password-stdin"],
        input=PASSWORD.encode(),
        env=environment,
        cwd=tmp_path,
        check=True,
    )
    with RestrictedService(environment, tmp_path, "serve", "--surface", "public", "--no-worker") as public:
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        content = pdf("Analytical engines")
        answer = httpx2.post(f"{public.url}/leads/", data=form, files={"CV": ("cv.pdf", content)})
        assert answer.status_code == 204, answer.text
    with RestrictedService(environment, tmp_path, "serve", "--surface", "internal") as internal:
        login = httpx2.post(
            f"{internal.url}/internal/auth/login", json={"username": "ada", "password": PASSWORD}, timeout=30
        )
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        [lead] = httpx2.get(f"{internal.url}/internal/leads/", headers=headers).json()

        def text() -> httpx2.Response:
            return httpx2.get(f"{internal.url}/internal/leads/{lead['id']}/cv-text", headers=headers)

        until(lambda: text().status_code == 200 and text().json()["state"] != "pending", within_s=30)
        assert "Analytical engines" in text().text
        assert httpx2.get(f"{internal.url}/readyz").json()["cv_sandbox"] == sandbox.describe()


def test_kubernetes_accepts_the_manifests(objects: list[dict[str, Any]]) -> None:
    kinds = [found["kind"] for found in objects]
    assert (kinds.count("Deployment"), kinds.count("Job"), kinds.count("NetworkPolicy")) == (3, 1, 4)
    for found in objects:
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


def test_pods_have_no_privileges(objects: list[dict[str, Any]]) -> None:
    for name, pod in pods(objects).items():
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"], name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"], name
        assert not pod["automountServiceAccountToken"], name
        assert not pod["enableServiceLinks"], f"{name}: variables of services would look like settings"


def test_probes_tell_a_stopped_process_from_one_that_is_not_ready(objects: list[dict[str, Any]]) -> None:
    for surface in ("public", "internal"):
        [container] = pods(objects)[f"intake-{surface}"]["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_network_policies_separate_the_surfaces(objects: list[dict[str, Any]]) -> None:
    def sources(name: str) -> set[str]:
        [rule] = named(objects, "NetworkPolicy")[name]["spec"]["ingress"]
        return {source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for source in rule["from"]}

    assert sources("intake-public") == {"public-ingress"}
    assert sources("intake-internal") == {"internal-ingress", "monitoring"}
    policies = named(objects, "NetworkPolicy")
    assert policies["intake-default-deny"]["spec"].get("ingress") is None
    selected = {name: policy["spec"]["podSelector"]["matchLabels"] for name, policy in policies.items()}
    for name, deployment in named(objects, "Deployment").items():
        assert selected[name].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
        assert selected["intake-default-deny"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_each_deployment_has_a_disruption_budget(objects: list[dict[str, Any]]) -> None:
    assert named(objects, "PodDisruptionBudget").keys() == named(objects, "Deployment").keys()
