"""Leads: submission, listing, state changes, CV access, export and erasure."""
