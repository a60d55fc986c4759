"""Background workers: mail delivery, CV scans and maintenance."""
