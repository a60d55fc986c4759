"""Settings, the parsers of their values, and deployment checks."""

from intake.settings.settings import Settings, read_environment, unknown_names

__all__ = ["Settings", "read_environment", "unknown_names"]
