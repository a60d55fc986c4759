"""Limits in a Redis that replicas share: a real server, killed and stopped in the middle; run by `make test-redis`."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import limits
import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from starlette.testclient import TestClient

from intake.database.installation import Fingerprints
from intake.errors import RateLimiterUnavailable, SettingsInvalid
from intake.metrics import Metrics
from intake.rate_limits import limiter, redis_store
from intake.rate_limits.limiter import RateLimiter
from intake.settings import Settings
from intake.users.login_throttle import LoginThrottle
from tests.conftest import Intake
from tests.system.programs import free_port

START_WITHIN_S = 20
PASSWORD = "hush"
LIMIT = limits.parse("3/minute")
FINGERPRINTS = Fingerprints(b"s" * 32)


class RedisServer:
    """A server of our own, with a password, that keeps nothing on disk."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.exit("there is no Redis to test with; install it: apt-get install redis-server", returncode=1)
        self._program, self._directory, self.port = program, directory, free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/1"
        self.client = Redis.from_url(self.url)

    def start(self) -> None:
        """Start it, and return once it answers."""
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
        """End it at once."""
        self.process.kill()
        self.process.wait(10)

    def hang(self) -> None:
        """Let it hold its connections, and answer nobody."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def brief_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "PAUSE_S", 1.0)


def failures(intake: Intake) -> float:
    found = re.search(r"intake_limits_store_failures_total (\d\S*)", intake.client.get("/metrics").text)
    assert found
    return float(found[1])


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message.partition(",")[0] for record in caplog.records if "limits store" in record.message]


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
def test_replicas_count_together(start: Callable[..., Intake], server: RedisServer, scheme: str) -> None:
    store = server.url.replace("redis", scheme, 1)
    one, other = (start(rate_limits=("3/minute", "9/day"), limits_store=store) for _ in range(2))
    answers = [intake.submit() for intake in (one, other, one, other, one)]
    assert [answer.status_code for answer in answers] == [204, 204, 204, 429, 429]
    assert [answer.headers["RateLimit"][:12] for answer in answers] == [f'"minute";r={n}' for n in (2, 1, 0, 0, 0)]
    assert 50 <= int(answers[3].headers["Retry-After"]) <= 60
    assert failures(one) == failures(other) == 0


def test_no_address_and_no_name_is_in_it_and_replicas_agree_on_what_stands_for_them(
    start: Callable[..., Intake], server: RedisServer
) -> None:
    one = start(rate_limits=("3/minute",), limits_store=server.url)
    other = start(
        rate_limits=("3/minute",),
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
    settings = Settings(limits_store=server.url)
    replicas = [LoginThrottle.from_settings(settings, Fingerprints(b"k" * 32)) for _ in range(2)]
    tries = [
        replicas[number % 2].attempt("ada", f"192.0.2.{number}", may_go_ahead=lambda: True).is_allowed
        for number in range(8)
    ]
    assert tries == [True] * 6 + [False] * 2
    replicas[0].remember("ada", "192.0.2.1")
    assert replicas[1].attempt("ada", "192.0.2.1").group


def test_what_is_counted_expires_by_itself(server: RedisServer) -> None:
    limiter = RateLimiter(server.url, Metrics(), FINGERPRINTS)
    for _ in range(5):
        limiter.hit([LIMIT], "ada")
    [key] = server.client.keys()  # type: ignore[misc]
    assert 50 < server.client.ttl(key) <= 60  # type: ignore[operator]
    assert server.client.llen(key) == 3
    limiter.clear([LIMIT], "ada")
    assert server.client.keys() == []


def test_submissions_go_on_without_it_and_are_limited_again_with_it(
    start: Callable[..., Intake], server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    intake = start(rate_limits=("2/minute",), limits_store=server.url)
    assert [intake.submit().status_code for _ in range(3)] == [204, 204, 429]
    server.kill()
    answers = [intake.submit() for _ in range(10)]
    assert {answer.status_code for answer in answers} == {204}
    assert "RateLimit" not in answers[0].headers
    assert 1 <= failures(intake) < 10, "one each second, not for each request"
    server.start()
    time.sleep(redis_store.PAUSE_S)
    assert [intake.submit().status_code for _ in range(3)] == [204, 204, 429], "it has forgotten what it counted"
    assert warnings(caplog) == ["the limits store is away", "the limits store is back"]
    assert PASSWORD not in caplog.text


def test_nobody_waits_for_one_that_hangs(start: Callable[..., Intake], server: RedisServer) -> None:
    intake = start(rate_limits=("2/minute",), limits_store=server.url)
    assert intake.submit().status_code == 204
    server.hang()
    try:
        answers = [intake.submit() for _ in range(5)]
        assert {answer.status_code for answer in answers} == {204}
        assert sum(answer.elapsed.total_seconds() > redis_store.SOCKET_TIMEOUT_S for answer in answers) <= 2
        assert max(answer.elapsed.total_seconds() for answer in answers) < 5
    finally:
        server.go_on()
    time.sleep(redis_store.PAUSE_S)
    assert "RateLimit" in intake.submit().headers


def test_who_fails_closed_is_told(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RateLimiter(server.url, Metrics(), FINGERPRINTS)
    assert limiter.hit([LIMIT], "ada").is_allowed
    server.kill()
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(RateLimiterUnavailable):
            limiter.hit([LIMIT], "ada")
    assert time.monotonic() - began < 3


def test_a_wrong_password_is_an_outage_and_is_not_told(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    limiter = RateLimiter(server.url.replace(PASSWORD, "wrong-secret"), Metrics(), FINGERPRINTS)
    with pytest.raises(RateLimiterUnavailable):
        limiter.hit([LIMIT], "ada")
    assert warnings(caplog) == ["the limits store is away"]
    assert "wrong-secret" not in caplog.text


@pytest.mark.parametrize("query", ["nonsense=1", "socket_timeout=x", "protocol=9"])
def test_an_address_that_asks_for_what_there_is_not_stops_the_start(query: str) -> None:
    with pytest.raises(SettingsInvalid, match="INTAKE_LIMITS_STORE"):
        RateLimiter(f"redis://127.0.0.1:1?{query}", Metrics(), FINGERPRINTS)
