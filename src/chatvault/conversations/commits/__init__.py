"""How changes of conversations are committed, in batches."""
