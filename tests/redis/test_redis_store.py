"""Rate limits and counters in a real Redis, which is killed and stopped; run by `make test-redis`."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from starlette.testclient import TestClient

from intake.database.installation import Fingerprints
from intake.errors import RateLimiterUnavailable, SettingsInvalid
from intake.metrics import Metrics
from intake.rate_limits import redis_store
from intake.rate_limits.redis_store import RedisStore
from intake.settings.parsers import rate_limits
from intake.users.login_throttle import LoginThrottle
from tests.conftest import Intake
from tests.system.programs import free_port

START_WITHIN_S = 20
PASSWORD = "hush"
LIMITS = rate_limits("3/minute;4/day")
FINGERPRINTS = Fingerprints(b"s" * 32)


class RedisServer:
    """A server with a password and without persistence."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.exit("redis-server is not installed; install it with: apt-get install redis-server", returncode=1)
        self._program, self._directory, self.port = program, directory, free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/1"
        self.client = Redis.from_url(self.url)

    def start(self) -> None:
        """Start the server, and return once it responds."""
        settings = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "requirepass": PASSWORD}
        flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self.process = subprocess.Popen([self._program, *flags], cwd=self._directory, stdout=subprocess.DEVNULL)
        until = time.monotonic() + START_WITHIN_S
        while True:
            try:
                self.client.ping()
                return
            except NoConnection:
                assert time.monotonic() < until
                time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server."""
        self.process.kill()
        self.process.wait(10)

    def hang(self) -> None:
        """Stop the process, with its connections open."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the process."""
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def brief_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "PAUSE_S", 1.0)


def opened(url: str) -> RedisStore:
    return RedisStore(url, Metrics(), FINGERPRINTS)


def failures(intake: Intake) -> float:
    found = re.search(r"intake_limits_store_failures_total (\d\S*)", intake.client.get("/metrics").text)
    assert found
    return float(found[1])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message.partition(";")[0] for record in caplog.records if "limits store" in record.message]


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_replicas_count_together(start: Callable[..., Intake], server: RedisServer, scheme: str) -> None:
    store = server.url.replace("redis", scheme, 1)
    one, other = (start(rate_limits="3/minute;9/day", limits_store=store) for _ in range(2))
    answers = [intake.submit() for intake in (one, other, one, other, one)]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 429, 429]
    assert [answer.headers["RateLimit"][:12] for answer in answers] == [f'"minute";r={n}' for n in (2, 1, 0, 0, 0)]
    assert 10 <= int(answers[3].headers["Retry-After"]) <= 20
    assert failures(one) == failures(other) == 0


def test_no_addresses_and_names_are_stored_and_replicas_share_hashes(
    start: Callable[..., Intake], server: RedisServer
) -> None:
    one = start(rate_limits="3/minute", limits_store=server.url)
    other = start(
        rate_limits="3/minute",
        limits_store=server.url,
        database_url=one.settings.database_url,
        jwt_secrets=("another secret, as a public process has none",),
    )
    for intake in (one, other):
        client = TestClient(intake.client.app, client=("192.0.2.77", 5000))
        client.app_state.update(intake.client.app_state)
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        client.post("/leads/", data=form, files={"CV": ("cv.pdf", b"%PDF-1.4 a CV")})
        client.post("/internal/auth/login", json={"username": "hunter22", "password": "wrong password"})
    keys: list[bytes] = server.client.keys()  # type: ignore[assignment]
    assert len(keys) == len({"submissions", "failed:client", "failed:account", "unknown"}), keys
    assert not [key for key in keys if b"192.0.2" in key or b"hunter22" in key]


def test_replicas_count_allowed_logins_together(server: RedisServer) -> None:
    stores = [opened(server.url) for _ in range(2)]
    replicas = [LoginThrottle(FINGERPRINTS, counters=store, known=store) for store in stores]
    tries = [
        replicas[number % 2].attempt("ada", f"192.0.2.{number}", allowed=lambda: 3).is_allowed for number in range(8)
    ]
    assert tries == [True] * 6 + [False] * 2
    replicas[0].remember("ada", "192.0.2.1")
    assert replicas[1].attempt("ada", "192.0.2.1").group


def test_a_request_refused_by_one_limit_is_counted_by_none(server: RedisServer) -> None:
    store = opened(server.url)
    decisions = [store.hit("ada", LIMITS) for _ in range(50)]
    assert [is_allowed for is_allowed, _ in decisions] == [True] * 3 + [False] * 47
    assert decisions[2][1] == pytest.approx([60, 3 * 21600], abs=5)
    assert decisions[49][1] == pytest.approx([60, 3 * 21600], abs=10)
    assert store.hit("peter", LIMITS)[0]


def test_requests_become_available_one_by_one(server: RedisServer) -> None:
    store, [limit] = opened(server.url), rate_limits("2/second")
    began, allowed = time.monotonic(), 0
    while (seconds := time.monotonic() - began) < 2:
        allowed += store.hit("ada", [limit])[0]
    assert 5 <= allowed <= 2 + 2 * seconds


def test_many_threads_together_are_allowed_no_more_than_the_quota(server: RedisServer) -> None:
    store, limits = opened(server.url), rate_limits("100/day;150/day")
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda _: store.hit("ada", limits)[0], range(400)))
    assert sum(decisions) == 100


def test_a_clock_that_is_set_back_blocks_no_client_beyond_the_window(server: RedisServer) -> None:
    store = opened(server.url)
    store.hit("ada", LIMITS)
    for key in server.client.scan_iter("rate:*"):
        server.client.set(key, time.time() + 10**6)
    assert store.hit("ada", LIMITS) == (False, [60, 86400])


def test_keys_expire_by_themselves(server: RedisServer) -> None:
    store = opened(server.url)
    for _ in range(5):
        store.hit("ada", LIMITS[:1])
    [key] = server.client.keys()  # type: ignore[misc]
    assert 50 < server.client.ttl(key) <= 60  # type: ignore[operator]


def test_counters_expire_a_time_after_their_start(server: RedisServer) -> None:
    store = opened(server.url)
    assert [store.increment("a", expiry_s=60) for _ in range(3)] == [1, 2, 3]
    server.client.expire("count:a", 30)
    assert store.increment("a", expiry_s=60) == 4
    assert 20 < store.time_left_s("a") <= 30
    store.clear("a")
    assert store.time_left_s("a") == 0
    assert server.client.keys() == []


def test_submissions_are_accepted_during_an_outage_and_limited_after_it(
    start: Callable[..., Intake], server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    intake = start(rate_limits="2/minute", limits_store=server.url)
    assert [intake.submit().status_code for _ in range(3)] == [204, 204, 429]
    server.kill()
    answers = [intake.submit() for _ in range(10)]
    assert {answer.status_code for answer in answers} == {204}
    assert "RateLimit" not in answers[0].headers
    assert 1 <= failures(intake) < 10, "one each second, not for each request"
    server.start()
    time.sleep(redis_store.PAUSE_S)
    assert [intake.submit().status_code for _ in range(3)] == [204, 204, 429], "it has forgotten what it counted"
    assert warnings(caplog) == ["the limits store is unavailable", "the limits store is available again"]
    assert PASSWORD not in caplog.text


def test_requests_do_not_wait_for_a_hanging_server(start: Callable[..., Intake], server: RedisServer) -> None:
    intake = start(rate_limits="2/minute", limits_store=server.url)
    assert intake.submit().status_code == 204
    server.hang()
    try:
        answers = [intake.submit() for _ in range(5)]
        assert {answer.status_code for answer in answers} == {204}
        assert sum(answer.elapsed.total_seconds() > redis_store.SOCKET_TIMEOUT_S for answer in answers) <= 2
        assert max(answer.elapsed.total_seconds() for answer in answers) < 5
    finally:
        server.resume()
    time.sleep(redis_store.PAUSE_S)
    assert "RateLimit" in intake.submit().headers


def test_one_failure_pauses_limits_and_counters(server: RedisServer) -> None:
    store = opened(server.url)
    assert store.hit("ada", LIMITS)[0]
    assert store.increment("a", expiry_s=60) == 1
    server.kill()
    with pytest.raises(RateLimiterUnavailable):
        store.hit("ada", LIMITS)
    server.start()
    with pytest.raises(RateLimiterUnavailable, match="try again later"):
        store.increment("a", expiry_s=60)
    time.sleep(redis_store.PAUSE_S)
    assert store.increment("a", expiry_s=60) == 1


def test_a_wrong_password_is_an_outage_and_is_not_logged(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RateLimiterUnavailable):
        opened(server.url.replace(PASSWORD, "wrong-secret")).hit("ada", LIMITS)
    assert warnings(caplog) == ["the limits store is unavailable"]
    assert "wrong-secret" not in caplog.text


@pytest.mark.parametrize("query", ["nonsense=1", "socket_timeout=x", "protocol=9"])
def test_unknown_options_in_the_url_are_refused(query: str) -> None:
    with pytest.raises(SettingsInvalid, match="INTAKE_LIMITS_STORE"):
        opened(f"redis://127.0.0.1:1?{query}")
