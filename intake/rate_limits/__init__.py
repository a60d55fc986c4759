"""The rate limiter and its storage backends."""
