"""When a mail that could not be delivered is tried again."""

GIVE_UP_AFTER_S = 2 * 24 * 3600
FIRST_DELAY_S = 5.0
LONGEST_DELAY_S = 4 * 3600.0


def retry_delay_s(*, attempts: int, age_s: float, permanent: bool, fraction: float) -> float | None:
    """Return the seconds until the next attempt, or None where there is none: the mail is dead.

    `attempts` counts those made (from 1), `age_s` runs from when the mail was owed, and `fraction` (0 to 1, drawn
    at random) spreads retries over the whole of an exponentially growing delay, so that mails that failed
    together do not come back together.
    """
    if permanent or age_s >= GIVE_UP_AFTER_S:
        return None
    # 2**12 is past the longest delay
    longest = min(FIRST_DELAY_S * 2.0 ** min(attempts - 1, 12), LONGEST_DELAY_S)
    return max(longest * fraction, 1.0)
