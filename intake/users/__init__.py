"""The User Service: accounts, passwords, and the tokens that stand for a login."""
