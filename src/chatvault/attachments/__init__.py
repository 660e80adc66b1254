"""Files beside conversations: what is known of them, and their bytes."""
