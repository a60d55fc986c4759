"""The intake service: a public API for senders, an internal API for attorneys, and mail delivery."""
