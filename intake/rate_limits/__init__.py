"""The rate limiter, the login throttle's counters, and their storage in memory or Redis."""
