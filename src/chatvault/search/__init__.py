"""Finding messages by their words: an index per user, and what the index does not have yet."""
