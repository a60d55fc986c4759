"""The attorneys' door."""
