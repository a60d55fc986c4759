"""Users: accounts, passwords, authentication and tokens."""
