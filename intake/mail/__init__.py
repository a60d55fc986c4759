"""The Email Service: what is owed, what a message says, and how it leaves."""
