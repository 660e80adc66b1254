"""Committing changes of conversations, in batches."""
