"""The files for monitoring against a real Prometheus and a running service and worker; run by `make test-ops`."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from sqlalchemy import update

from intake.database import Database
from intake.database.clock import Now
from intake.database.schema import outbox_mail
from intake.settings import Settings
from tests.conftest import SECRET, Databases
from tests.ops.programs import OPS, WITHIN_S, output_of
from tests.ops.programs import program as system_program
from tests.system import programs
from tests.system.conftest import relay
from tests.system.programs import Service, clean_environment, free_port
from tests.system.relay import Relay

SAMPLE = re.compile(r"^(intake_\w+(?:\{.*\})?) (\S+)$", re.MULTILINE)
until = partial(programs.until, within_s=WITHIN_S)
__all__ = ["relay"]
MAIL_STOPPED = 'ALERTS{alertname="IntakeMailStopped", alertstate="firing"}'


def program(name: str) -> str:
    return system_program(name, "prometheus")


def promtool(*arguments: str | Path, given: str = "") -> str:
    """Run promtool, and return its output."""
    return output_of(program("promtool"), *arguments, given=given)


def dashboard_queries() -> Iterator[str]:
    """Yield the queries of the dashboard, with Grafana's variable replaced as Grafana does."""
    for panel in json.loads((OPS / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m")


class Deployment(NamedTuple):
    """A service without workers, a worker, their addresses, and their database."""

    service: Service
    worker_port: int
    database: Database

    def submit(self, count: int) -> None:
        form = {"email": f"prospect{count}@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        answer = httpx2.post(f"{self.service.url}/leads/", data=form, files={"CV": ("cv.pdf", b"%PDF-1.4")})
        assert answer.status_code == 204

    def samples(self) -> dict[str, float]:
        """Return all samples of both processes; names of series include the process."""
        found = {}
        for job, text in zip(("intake", "intake-worker"), self.expositions(), strict=True):
            for series, value in SAMPLE.findall(text):
                name, _, labels = series.rstrip("}").partition("{")
                found[f'{name}{{{labels}{"," if labels else ""}job="{job}"}}'] = float(value)
        return found

    def expositions(self) -> tuple[str, str]:
        """Return what the service and the worker expose."""
        urls = (f"{self.service.url}/metrics", f"http://127.0.0.1:{self.worker_port}/metrics")
        service, worker = (httpx2.get(url, trust_env=False, timeout=WITHIN_S).text for url in urls)
        return service, worker

    def worker_sample(self, name: str) -> float:
        return self.samples().get(f'{name}{{job="intake-worker"}}', -1)


@pytest.fixture
def deployment(databases: Databases, relay: Relay, tmp_path: Path) -> Iterator[Deployment]:
    url, port = databases.migrated_url(), free_port()
    settings = {
        "INTAKE_DATABASE_URL": url,
        "INTAKE_JWT_SECRET": SECRET,
        "INTAKE_SMTP_URL": f"smtp://127.0.0.1:{relay.port}",
        "INTAKE_ATTORNEY_EMAILS": "harriet@firm.example",
        "INTAKE_ALERT_INTERVAL": "0",
        "INTAKE_CV_SANDBOX": "best-effort",
    }
    environment = clean_environment(tmp_path, **settings)
    database = Database(Settings(database_url=url), connections=1)
    with Service(environment, tmp_path, "serve", "--no-worker") as service:
        with Service({**environment, "INTAKE_METRICS_PORT": str(port)}, tmp_path, "worker"):
            yield Deployment(service, port, database)
    database.close()


def test_rules_and_configuration_are_valid() -> None:
    assert "SUCCESS" in promtool("check", "rules", OPS / "alerts.yml")
    assert "SUCCESS" in promtool("check", "config", OPS / "prometheus.yml")


def test_each_alert_has_a_unit_test_and_all_pass() -> None:
    unit_tests = Path(__file__).with_name("alerts_test.yml")
    alerts = re.findall(r"- alert: (\w+)", (OPS / "alerts.yml").read_text())
    assert set(alerts) == set(re.findall(r'alertname="(\w+)"', unit_tests.read_text()))
    assert "SUCCESS" in promtool("test", "rules", unit_tests)


def test_a_stopped_relay_fires_the_alert(deployment: Deployment, relay: Relay, tmp_path: Path) -> None:
    deployment.submit(0)
    relay.wait_for(2)
    until(lambda: deployment.worker_sample("intake_mails_queued") == 0)
    healthy = deployment.samples()
    relay.close()
    for number in (1, 2):
        deployment.submit(number)
    # instead of waiting for 20 minutes
    older = update(outbox_mail).where(outbox_mail.c.state == "queued").values(queued_since=Now(plus_s=-1200.0))
    deployment.database.write(lambda connection: connection.execute(older))
    until(lambda: deployment.worker_sample("intake_mail_oldest_seconds") > 900)
    stopped = deployment.samples()
    assert stopped['intake_mails_queued{job="intake-worker"}'] == 4
    relay.open()
    due = update(outbox_mail).where(outbox_mail.c.state == "queued").values(next_attempt_at=Now())
    deployment.database.write(lambda connection: connection.execute(due))
    until(lambda: deployment.worker_sample("intake_mails_queued") == 0)
    assert fires(tmp_path, healthy, stopped)
    assert not fires(tmp_path, healthy, deployment.samples())


def fires(directory: Path, before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Return whether IntakeMailStopped fires after half an hour in the second state, according to promtool."""
    series = [{"series": name, "values": f"{before.get(name, value):f} {value:f}x40"} for name, value in after.items()]
    cases = {"interval": "1m", "input_series": series}
    check = {"eval_time": "30m", "expr": f"count({MAIL_STOPPED})", "exp_samples": [{"labels": "{}", "value": 1}]}
    document = {
        "rule_files": [str(OPS / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [{**cases, "promql_expr_test": [check]}],
    }
    file = directory / "scraped.yml"
    file.write_text(json.dumps(document))  # JSON is YAML
    made = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True)
    assert made.returncode == 0 or "got: nil" in made.stdout + made.stderr, made.stdout + made.stderr
    return made.returncode == 0


class Prometheus:
    """A Prometheus with the files in ops/, which scrapes a deployment every second."""

    def __init__(self, directory: Path, deployment: Deployment) -> None:
        self._port = free_port()
        configuration = placed(
            (OPS / "prometheus.yml").read_text(),
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
            ("127.0.0.1:8000", deployment.service.url.removeprefix("http://")),
            ("127.0.0.1:9464", f"127.0.0.1:{deployment.worker_port}"),
        )
        (directory / "prometheus.yml").write_text(configuration)
        shutil.copy(OPS / "alerts.yml", directory)
        with (directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={directory}/prometheus.yml",
                    f"--storage.tsdb.path={directory}/data",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )

    def get(self, path: str, **query: str) -> Any:
        """Return the data of a response."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}"
        answer = httpx2.get(url, params=query, trust_env=False, timeout=WITHIN_S)
        assert answer.json()["status"] == "success", answer.text
        return answer.json()["data"]

    def is_up(self) -> bool:
        """Return whether it has scraped both programs twice."""
        assert self._process.poll() is None, "Prometheus has ended"
        try:
            counts = self.get("query", query="count_over_time(up[1m]) >= 3")["result"]
        except httpx2.TransportError:
            return False
        return len(counts) == 2

    def has_evaluated(self) -> bool:
        """Return whether it has evaluated all rules without an error."""
        rules = [rule for group in self.get("rules")["groups"] for rule in group["rules"]]
        assert not [rule for rule in rules if rule["health"] == "err"]
        return bool(rules) and all(rule["health"] == "ok" for rule in rules)

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(WITHIN_S)


@pytest.fixture
def prometheus(deployment: Deployment, tmp_path: Path) -> Iterator[Prometheus]:
    started = Prometheus(tmp_path, deployment)
    yield started
    started.close()


def placed(text: str, *placeholders: tuple[str, str]) -> str:
    for placeholder, own in placeholders:
        assert placeholder in text, placeholder
        text = text.replace(placeholder, own)
    return text


def test_rules_and_dashboard_name_metrics_that_exist(
    deployment: Deployment, prometheus: Prometheus, relay: Relay
) -> None:
    deployment.submit(0)
    assert httpx2.get(f"{deployment.service.url}/internal/leads/").status_code == 401
    relay.wait_for(2)
    until(lambda: deployment.worker_sample("intake_mails_queued") >= 0)
    for exposition in deployment.expositions():
        assert promtool("check", "metrics", given=exposition) == ""
    exposed = {name.partition("{")[0] for name in deployment.samples()}
    rules = (OPS / "alerts.yml").read_text()
    named = set(re.findall(r"\bintake_\w+", "\n".join([*dashboard_queries(), rules])))
    assert named <= exposed
    assert "intake_mails_queued" in named
    until(prometheus.is_up)
    until(prometheus.has_evaluated)
    assert {alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"]} == set()
    without_data = [one for one in dashboard_queries() if not prometheus.get("query", query=one)["result"]]
    assert without_data == []
