"""Settings, the parsers of their values, and checks of a deployment."""

from intake.settings.settings import Settings, read_environment, unknown_names

__all__ = ["Settings", "read_environment", "unknown_names"]
