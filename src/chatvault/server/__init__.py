"""Listening, draining and supervising worker processes."""
