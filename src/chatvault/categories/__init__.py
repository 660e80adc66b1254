"""Categories of conversations, in a tree of two levels."""
