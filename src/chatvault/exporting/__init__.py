"""Export conversations and all other data of a user as files."""
