"""The branches of a conversation."""
