"""Search by words: the tokenizer, the words of leads and queries, and excerpts of texts."""
