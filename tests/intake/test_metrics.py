"""Metrics of queues, threads, connections, refusals, suspect leads and versions, on both databases."""

import re
import time
from collections.abc import Callable

import pytest
from sqlalchemy import update

from intake.database import Database
from intake.database.clock import Now
from intake.database.migrations import needed_revision
from intake.database.schema import outbox_mail
from intake.form.timestamps import FormKey
from intake.mail import admin
from intake.metrics import Metrics
from intake.workers import WORKER_CONNECTIONS, Workers
from intake.workers.maintenance import Maintenance
from tests.conftest import Intake
from tests.intake.workers.test_mail import wait_for


def sample(metrics: Metrics, name: str) -> float | None:
    """Return the value of a sample, with its labels in its name, or None."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    return float(found[1]) if found else None


def counted(intake: Intake) -> Metrics:
    """Return the metrics of a worker that has counted the queues once."""
    metrics = Metrics()
    Maintenance(intake.settings, intake.database, metrics)._count_queues()
    return metrics


def test_queues_are_counted_from_the_database(start: Callable[..., Intake]) -> None:
    intake = start(clamd="tcp://127.0.0.1:1")
    first, second = intake.submitted(email="a@example.com"), intake.submitted(email="b@example.com")
    is_first = outbox_mail.c.lead_id == first
    intake.write(lambda c: c.execute(update(outbox_mail).where(is_first).values(state="failed")))
    is_confirmation = outbox_mail.c.lead_id == second, outbox_mail.c.kind == "confirmation"
    an_hour_ago = update(outbox_mail).where(*is_confirmation).values(queued_since=Now(plus_s=-3600.0))
    intake.write(lambda c: c.execute(an_hour_ago))
    metrics = counted(intake)
    assert sample(metrics, "intake_mails_queued") == 3
    assert sample(metrics, "intake_mails_failed") == 3
    assert sample(metrics, "intake_mail_oldest_seconds") == pytest.approx(3600, abs=60)
    assert sample(metrics, "intake_cv_scans_pending") == 2
    assert sample(metrics, "intake_cv_texts_pending") == 2
    assert sample(metrics, "intake_queues_counted_timestamp_seconds") == pytest.approx(time.time(), abs=60)


def test_mails_that_must_wait_are_not_the_oldest(intake: Intake) -> None:
    intake.submitted()
    old = {"queued_since": Now(plus_s=-3600.0)}
    is_confirmation = outbox_mail.c.kind == "confirmation"
    held = {**old, "held_by": "", "held_since": Now()}
    intake.write(lambda c: c.execute(update(outbox_mail).where(is_confirmation).values(held)))
    intake.write(lambda c: c.execute(update(outbox_mail).where(~is_confirmation).values(old)))
    assert admin.oldest_s(intake.database) == 0, "the confirmation is held, and the alerts wait for a digest"
    in_digest = update(outbox_mail).where(~is_confirmation).values(digest_id=outbox_mail.c.id)
    intake.write(lambda c: c.execute(in_digest))
    assert admin.oldest_s(intake.database) == pytest.approx(3600, abs=60)


def test_empty_queues_are_zero_and_uncounted_ones_absent(intake: Intake) -> None:
    assert b"intake_mails_queued" not in Metrics().exposition()
    metrics = counted(intake)
    queues = ("mails_queued", "mails_failed", "mail_oldest_seconds", "cv_scans_pending", "cv_texts_pending")
    assert [sample(metrics, f"intake_{name}") for name in queues] == [0] * 5


def test_texts_are_not_pending_where_none_are_extracted(start: Callable[..., Intake]) -> None:
    intake = start(cv_text=False)
    intake.submitted()
    assert sample(counted(intake), "intake_cv_texts_pending") == 0


def test_a_worker_counts_the_queues_again_and_again(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intake.workers.maintenance.COUNT_EVERY_S", 0.0)
    database = Database(intake.settings, connections=WORKER_CONNECTIONS)
    metrics = Metrics()
    maintenance = Workers(intake.settings, database, metrics).maintenance
    maintenance.start()
    try:
        wait_for(lambda: sample(metrics, "intake_cv_texts_pending") == 0)
        intake.submitted()
        wait_for(lambda: sample(metrics, "intake_cv_texts_pending") == 1)
    finally:
        maintenance.stop()
        maintenance.join()
        database.close()


def test_a_service_exposes_its_version_threads_and_connections(intake: Intake) -> None:
    text = intake.client.get("/metrics").text
    assert re.search(rf'^intake_build_info{{schema="{needed_revision()}",version="\d\S+"}} 1.0$', text, re.MULTILINE)
    assert {api: int(float(most)) for api, most in re.findall(r'intake_threads_max{api="(\w+)"} (\S+)', text)} == {
        "public": 8 if intake.settings.sqlite_file else 4,
        "internal": 8,
        "operators": 2,
    }
    assert 'intake_threads_in_use{api="operators"} 1.0' in text, "the thread of this request"
    assert 'intake_thread_jobs_waiting{api="public"} 0.0' in text
    assert re.search(r"^intake_database_connections_max [1-9]", text, re.MULTILINE)
    assert re.search(r"^intake_database_connections_in_use 0.0", text, re.MULTILINE)
    assert "intake_mails_queued" not in text, "this process has no worker"


def test_connections_in_use_are_counted(intake: Intake) -> None:
    metrics = Metrics()
    metrics.watch_database(intake.database, schema="")
    in_use = intake.read(lambda _: sample(metrics, "intake_database_connections_in_use"))
    assert (in_use, sample(metrics, "intake_database_connections_in_use")) == (1, 0)
    assert sample(metrics, "intake_database_connections_max") == 2


def test_suspect_leads_are_counted(intake: Intake) -> None:
    honeypot = FormKey.from_database(intake.database).honeypot
    intake.submitted()
    intake.submitted(email="spam@example.com", **{honeypot: "buy"})
    text = intake.client.get("/metrics").text
    assert "intake_leads_total 2.0" in text
    assert "intake_suspect_leads_total 1.0" in text


def test_counters_begin_with_zero_so_that_a_first_increase_is_visible() -> None:
    text = Metrics().exposition().decode()
    assert set(re.findall(r'^intake_refused_total{reason="(\w+)"} 0.0$', text, re.MULTILINE)) == {
        *("rate", "uploads", "spool", "requests", "slow_body", "threads", "logins", "connections", "headers")
    }
    for sample_at_zero in ('mail_attempts_total{outcome="failed"}', 'logins_total{outcome="wrong"}', "errors_total"):
        assert f"intake_{sample_at_zero} 0.0" in text


def test_a_response_with_a_500_is_an_error(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a defect")

    monkeypatch.setattr("intake.public_api.leads.create_lead", fail)
    assert intake.submit().status_code == 500
    assert "intake_errors_total 1.0" in intake.client.get("/metrics").text
