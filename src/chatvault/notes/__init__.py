"""Notes beside messages."""
