"""One action on many conversations: at once for a few, in the background for up to 100,000."""
