"""Rate limit of submissions, and its response header fields."""

from collections.abc import Sequence

from intake.errors import RateLimited, RateLimiterUnavailable
from intake.http.request_state import AppRequest
from intake.rate_limits.limiter import Quota


async def check_rate_limit(request: AppRequest) -> None:
    """Count a submission against its client's limits, before any of its body is read. Raises RateLimited.

    While the limits store is unavailable every submission is allowed: a prospect who is refused may not come back.
    """
    settings, client = request.state["settings"], request.state["client"]
    if not settings.rate_limits or client.is_in(settings.rate_limit_exempt):
        return
    try:
        result = await request.state["limiter"].hit(settings.rate_limits, client.key)
    except RateLimiterUnavailable:
        return
    request.state["response_headers"].update(_header_fields(result.quotas))
    if not result.is_allowed:
        raise RateLimited("too many submissions came from this address", retry_after_s=result.retry_after_s)


def _header_fields(quotas: Sequence[Quota]) -> dict[str, str]:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers: the limits, and what remains of them."""
    limits = [quota.limit for quota in quotas]
    return {
        "RateLimit-Policy": ", ".join(f'"{limit.unit}";q={limit.amount};w={limit.window_s}' for limit in limits),
        "RateLimit": ", ".join(f'"{quota.limit.unit}";r={quota.remaining};t={quota.reset_s}' for quota in quotas),
    }
