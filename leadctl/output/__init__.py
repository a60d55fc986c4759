"""Output formats, tables, the pager and the console."""
