"""What was done, refused and failed: entries, and how they are written."""
