"""Backups: a directory with a copy of the database, the CVs of the store, and their checksums."""
