"""Downloads, uploads and CSV import."""
