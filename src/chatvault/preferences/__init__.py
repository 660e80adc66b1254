"""Per-user preferences: a few known ones with defaults, and whatever a frontend keeps beside."""
