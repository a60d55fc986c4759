"""CVs: spooling, inspection, storage and deletion."""
