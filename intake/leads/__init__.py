"""The Lead Service: leads as they come in, as they are found, and as they change."""
