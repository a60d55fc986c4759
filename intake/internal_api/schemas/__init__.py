"""Request and response models of the internal API."""
