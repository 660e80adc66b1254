"""Administration: accounts as administrators manage them, health, and metrics."""
