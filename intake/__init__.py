"""The intake service: a public door for prospects, an internal one for attorneys, and the mails that are owed."""
