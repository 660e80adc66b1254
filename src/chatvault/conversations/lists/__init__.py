"""Lists of conversations: conditions, orders, pages, and what changed since a time."""
