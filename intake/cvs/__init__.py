"""CVs: held while they arrive, and told apart by what is in them."""
