"""The public API: submission of leads by prospects."""
