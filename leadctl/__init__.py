"""leadctl: triage a law firm's leads from a terminal or a shell script."""

__version__ = "0.1.0"
