"""Conversations, and all else that a user has here, as files to take away."""
