"""Rate limits and login counters in a Redis or Valkey server that replicas share."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from intake.database.installation import Fingerprints
from intake.errors import RateLimiterUnavailable, SettingsInvalid
from intake.metrics import Metrics
from intake.rate_limits.memory_store import TOLERANCE_S, Decision
from intake.settings.parsers import RateLimit

if TYPE_CHECKING:  # a quarter of the start-up time, which only deployments with Redis need
    from redis import Redis

SOCKET_TIMEOUT_S = 0.5
PAUSE_S = 5.0  # after a failure, in which no request waits for the server

# Uses the server's clock. A backlog beyond the window means that this clock was set back.
_HIT = f"""
local time = redis.call('TIME')
local now, allowed, backlogs = time[1] + time[2] / 1e6, 1, {{}}
for i, key in ipairs(KEYS) do
  local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  backlogs[i] = math.min(math.max((tonumber(redis.call('GET', key)) or 0) - now, 0), window)
  if backlogs[i] + interval > window + {TOLERANCE_S} then allowed = 0 end
end
for i, key in ipairs(KEYS) do
  if allowed == 1 then
    backlogs[i] = backlogs[i] + ARGV[2 * i - 1]
    redis.call('SET', key, string.format('%.6f', now + backlogs[i]), 'PX', math.ceil(backlogs[i] * 1000))
  end
  backlogs[i] = string.format('%.6f', backlogs[i])
end
return {{allowed, backlogs}}
"""

log = logging.getLogger("intake.rate_limits")


class RedisStore:
    """The server at the URL in INTAKE_LIMITS_STORE. Threads may share it.

    Its keys are keyed hashes, so the server stores no names and no addresses. Every method raises
    RateLimiterUnavailable while the server is unavailable: after a failure at once, for PAUSE_S seconds.
    """

    def __init__(self, url: str, metrics: Metrics, fingerprints: Fingerprints) -> None:
        self._client = _client(url)
        self._hit = self._client.register_script(_HIT)
        self._fingerprints, self._metrics = fingerprints, metrics
        self._is_unavailable = False
        self._paused_until = 0.0

    def hit(self, key: str, limits: Sequence[RateLimit]) -> Decision:
        """Count a request under every limit if all of them allow it, in one step."""
        name = self._fingerprints.fingerprint(key)
        arguments = [number for limit in limits for number in (limit.interval_s, limit.window_s)]
        with self._available():
            found: Any = self._hit([f"rate:{name}:{limit.amount}/{limit.unit}" for limit in limits], arguments)
        return bool(found[0]), [float(backlog) for backlog in found[1]]

    def increment(self, key: str, *, expiry_s: int) -> int:
        """Add 1 to a counter, which starts at 0 and expires `expiry_s` seconds later; return its value."""
        name = f"count:{key}"
        with self._available(), self._client.pipeline() as transaction:
            transaction.set(name, 0, ex=expiry_s, nx=True)
            transaction.incr(name)
            return int(transaction.execute()[1])

    def time_left_s(self, key: str) -> float:
        """Return the seconds until a counter expires, 0 if there is none."""
        with self._available():
            left_ms: Any = self._client.pttl(f"count:{key}")  # negative if there is none
        return max(float(left_ms) / 1000, 0.0)

    def clear(self, key: str) -> None:
        """Delete a counter."""
        with self._available():
            self._client.delete(f"count:{key}")

    def check_available(self) -> None:
        """Raise RateLimiterUnavailable if the server failed within the last PAUSE_S seconds."""
        if time.monotonic() < self._paused_until:
            raise _unavailable()

    def record_failure(self, error: Exception) -> RateLimiterUnavailable:
        """Begin a pause, count and log the failure, and return the error to raise for it."""
        self._paused_until = time.monotonic() + PAUSE_S
        self._metrics.limits_failures.inc()
        if not self._is_unavailable:
            self._is_unavailable = True
            log.warning("the limits store is unavailable; submissions are not limited, logins are refused: %s", error)
        return _unavailable()

    @contextmanager
    def _available(self) -> Iterator[None]:
        from redis.exceptions import RedisError  # noqa: PLC0415

        self.check_available()
        try:
            yield
        except RedisError as error:
            raise self.record_failure(error) from error
        if self._is_unavailable:
            self._is_unavailable = False
            log.warning("the limits store is available again")


def _unavailable() -> RateLimiterUnavailable:
    return RateLimiterUnavailable("rate limiting is temporarily unavailable; try again later")


def _client(url: str) -> "Redis":
    """Return a client, which connects at its first command. Raises SettingsInvalid."""
    from redis import ConnectionPool, Redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    try:
        pool = ConnectionPool.from_url(
            url.replace("valkey", "redis", 1),  # both speak the same protocol
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # reopens a stale connection once
        )
        pool.make_connection()  # raises for unknown options
    except (ValueError, TypeError, RedisError) as error:
        raise SettingsInvalid([f"INTAKE_LIMITS_STORE is (not shown); expected another address: {error}"]) from error
    return Redis(connection_pool=pool)
