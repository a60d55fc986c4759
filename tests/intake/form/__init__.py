"""The firm's form."""
