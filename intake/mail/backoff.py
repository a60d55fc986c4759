"""Exponential backoff of mail deliveries."""

GIVE_UP_AFTER_S = 2 * 24 * 3600
FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 4 * 3600.0


def retry_delay_s(*, attempts: int, age_s: float, permanent: bool, fraction: float) -> float | None:
    """Return the seconds until the next attempt, or None if the mail has failed for good.

    `attempts` counts those made (from 1), and `age_s` is the time since the mail was queued. `fraction`, random from 0
    to 1, spreads retries over the whole delay, so that mails that failed together are not retried together.
    """
    if permanent or age_s >= GIVE_UP_AFTER_S:
        return None
    # 2**12 exceeds the longest delay
    longest = min(FIRST_DELAY_S * 2.0 ** min(attempts - 1, 12), LONGEST_DELAY_S)
    return max(longest * fraction, 1.0)
