"""Templates of conversations, with variables."""
