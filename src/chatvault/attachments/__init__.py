"""Files of conversations: their metadata and their bytes."""
