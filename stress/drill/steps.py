"""Steps of the drill under traffic: an upgrade, a rolling restart, a backup and its restore, and two failovers."""

import re
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx2

from stress.drill.report import Figure, failures
from stress.drill.site import DATABASE, Site, leads
from stress.drill.traffic import Traffic
from tests.postgres import PostgresServer, database_url, maintenance
from tests.proxy.programs import upload_slowly
from tests.upgrade.versions import Version

SETTLES_WITHIN_S = 60.0
WITHIN_S = 60.0


def upgrade(site: Site, traffic: Traffic, tree: Path) -> Iterator[Figure]:
    """Migrate with the version in `tree`, restart replicas of the old one, and replace them one after another.

    One old replica is killed. Only the submissions in progress then may fail; their clients can repeat them.
    """
    step, began = "upgrade", time.monotonic()
    Version(tree, site.environment, site.directory).run("migrate")
    yield Figure(step, "time of the migration", time.monotonic() - began, unit="s")
    yield Figure(step, "longest submission meanwhile", traffic.longest_s(began), unit="s")
    yield Figure(step, "replicas already of the new version", _upgraded(site), 0)
    yield Figure(step, "old replicas not ready after the migration", _not_ready(site), 0)
    killed_from = time.monotonic()
    site.replicas[0].process.kill()
    site.replicas[0].process.wait()
    killed_until = time.monotonic()
    site.command("migrate")  # as an init container of the old version does; it changes nothing
    site.start_replica(0)
    yield Figure(step, "old replicas not ready after one was killed and started", _not_ready(site), 0)
    site.upgrade(tree)
    site.restart_replicas()
    site.restart_workers()
    yield Figure(step, "replicas not of the new version at the end", len(site.replicas) - _upgraded(site), 0)
    yield Figure(step, "new replicas not ready", _not_ready(site), 0)
    failed = traffic.failures(began)
    cut = [one for one in failed if one.began <= killed_until and one.ended >= killed_from]
    yield Figure(step, "submissions in progress at the kill that failed", len(cut))
    others = [one for one in failed if one not in cut]
    yield failures(step, f"other submissions that failed, of {len(traffic.since(began))}", others)


def _not_ready(site: Site) -> int:
    return sum(httpx2.get(f"{one.url}/readyz").status_code != 200 for one in site.replicas)


def _upgraded(site: Site) -> int:
    """Return how many replicas need the database's schema; the previous version needs an older one."""
    with maintenance(site.primary.url(DATABASE)) as found:
        found.execute("SELECT version_num FROM alembic_version")
        [schema] = found.fetchall()[0]
    needed = re.compile(f'^intake_build_info{{.*schema="{schema}"', re.MULTILINE)
    return sum(bool(needed.search(httpx2.get(f"{one.url}/metrics").text)) for one in site.replicas)


def rolling_restart(site: Site, traffic: Traffic, upload_s: float) -> Iterator[Figure]:
    """Restart all replicas, one after another, with a slow upload in progress."""
    step, began, statuses = "rolling restart", time.monotonic(), list[int]()
    upload = threading.Thread(target=lambda: statuses.append(upload_slowly(site.proxy, upload_s)))
    upload.start()
    time.sleep(1)
    site.restart_replicas()
    upload.join()
    yield failures(step, f"submissions that failed, of {len(traffic.since(began))}", traffic.failures(began))
    yield Figure(step, f"failures of an upload of {upload_s:g} s", statuses.count(204) != 1, 0)
    yield Figure(step, "time until all replicas ran again", time.monotonic() - began, unit="s")


def backup_and_restore(site: Site, traffic: Traffic) -> Iterator[Figure]:
    """Back up under traffic, restore to another database, and compare it with the acknowledged leads."""
    step, backup = "backup and restore", site.directory / f"backup-{time.monotonic_ns()}"
    acknowledged, began = traffic.acknowledged(), time.monotonic()
    site.command("backup", str(backup), INTAKE_DATABASE_URL=site.direct_url)
    yield Figure(step, f"time of the backup, {len(acknowledged)} leads", time.monotonic() - began, unit="s")
    yield failures(step, "submissions that failed meanwhile", traffic.failures(began))
    highest = max(leads(site.direct_url))
    with maintenance(site.primary.url(DATABASE)) as found:
        found.execute("CREATE DATABASE restored TEMPLATE template0")
    url = database_url(site.primary.url("restored"), "restored")
    target = {"INTAKE_DATABASE_URL": url, "INTAKE_CV_STORE": f"file://{site.directory}/restored"}
    began = time.monotonic()
    site.command("restore", str(backup), **target)
    yield Figure(step, "time of the restore", time.monotonic() - began, unit="s")
    with site.service(**target) as restored:
        form = {"email": "after@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        httpx2.post(f"{restored.url}/leads/", data=form, files={"CV": ("cv.pdf", b"a CV")}).raise_for_status()
    copies = leads(url)
    yield Figure(step, "leads acknowledged before it that the copy lacks", len(acknowledged - set(copies.values())), 0)
    yield Figure(step, "new ids that were assigned before", max(copies) <= highest, 0)
    with maintenance(site.primary.url(DATABASE)) as found:
        found.execute("DROP DATABASE restored WITH (FORCE)")


def failover(site: Site, traffic: Traffic, *, synchronous: bool) -> Iterator[Figure]:
    """Kill the primary under traffic and promote its standby; then replicate to a new standby."""
    step = "failover, synchronous" if synchronous else "failover, asynchronous"
    if synchronous:
        with maintenance(site.primary.url(DATABASE)) as found:
            found.execute("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'")
            found.execute("SELECT pg_reload_conf()")
    began = time.monotonic()
    time.sleep(3)
    old, killed_at = site.fail_over()
    if synchronous:  # there is no standby yet
        with maintenance(site.primary.url(DATABASE)) as found:
            found.execute("ALTER SYSTEM RESET synchronous_standby_names")
            found.execute("SELECT pg_reload_conf()")
    _await_success(traffic, killed_at)
    time.sleep(3)
    yield Figure(step, "time without a saved submission", _gap(traffic, killed_at), 30, "s")
    acknowledged = {one.email for one in traffic.since(began) if one.outcome == "204"}
    yield from _lost(step, site, old, acknowledged, synchronous=synchronous)
    site.standby = site.new_standby()


def _lost(step: str, site: Site, old: PostgresServer, acknowledged: set[str], *, synchronous: bool) -> Iterator[Figure]:
    old.start(fsync="on")  # only this comparison uses it
    before, after = leads(old.url(DATABASE)), leads(site.primary.url(DATABASE))
    lost = acknowledged - set(after.values())
    yield Figure(step, f"acknowledged leads lost, of {len(acknowledged)}", len(lost), 0 if synchronous else None)
    reused = [number for number, email in after.items() if before.get(number, email) != email]
    yield Figure(step, "ids that were assigned twice", len(reused), 0)


def _await_success(traffic: Traffic, killed_at: float) -> None:
    ends_at = time.monotonic() + WITHIN_S
    while not any(one.outcome == "204" for one in traffic.since(killed_at)):
        assert time.monotonic() < ends_at, "no submission is saved after the failover"
        time.sleep(0.1)


def _gap(traffic: Traffic, killed_at: float) -> float:
    """Return the longest time between two saved submissions since shortly before."""
    ends = sorted(one.ended for one in traffic.since(killed_at - 5) if one.outcome == "204")
    return max(after - before for before, after in pairwise(ends))


def mails_settle(site: Site) -> Iterator[Figure]:
    """Wait until the workers have sent all mails."""
    began = time.monotonic()
    while queued := _queued(site):
        if time.monotonic() - began > SETTLES_WITHIN_S:
            break
        time.sleep(0.5)
    yield Figure("mail", "mails still queued at the end", queued, 0)


def _queued(site: Site) -> int:
    with maintenance(site.primary.url(DATABASE)) as found:
        found.execute("SELECT count(*) FROM outbox_mail WHERE state = 'queued'")
        [count] = found.fetchone() or (0,)
        return int(count)
