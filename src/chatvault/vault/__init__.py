"""Data keys of users, wrapped with master keys, and sealing with them."""
