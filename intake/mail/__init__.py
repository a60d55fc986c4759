"""Email: the outbox, digests, messages and transports."""
