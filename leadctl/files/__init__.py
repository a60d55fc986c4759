"""Files that are downloaded, uploaded and imported."""
