"""The store that replicas count in together: a Redis or Valkey server, as the `limits` library speaks to it."""

from limits.storage import RedisStorage

from intake.errors import SettingsInvalid

SOCKET_TIMEOUT_S = 0.5
PAUSE_S = 5.0  # a store that is away is left alone for so long: nobody waits for it


def open_store(url: str) -> RedisStorage:
    """Return the store at a URL of INTAKE_LIMITS_STORE; nothing is sent to it yet. Raises SettingsInvalid."""
    # a quarter of the time of a start, which only those who have a store need pay
    from redis import ConnectionPool  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    spoken = url.replace("valkey", "redis", 1)  # both speak the same protocol, so one client will do
    try:
        pool = ConnectionPool.from_url(
            spoken,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # a connection that went stale is opened anew, once
        )
        pool.make_connection()  # of what the address asks for
    except (ValueError, TypeError, RedisError) as error:
        raise SettingsInvalid([f"INTAKE_LIMITS_STORE is (not shown); expected another address: {error}"]) from error
    return RedisStorage(spoken, connection_pool=pool, wrap_exceptions=True)
