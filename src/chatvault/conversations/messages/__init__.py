"""The messages of a conversation: appended, edited, deleted and read."""
