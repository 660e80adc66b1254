"""Per-user preferences: a few known ones with defaults, and any that a frontend adds."""
