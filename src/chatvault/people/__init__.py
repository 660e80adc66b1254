"""The people who have to do with a conversation."""
