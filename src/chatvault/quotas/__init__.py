"""Limits of what a role, a user and an API key may do: requests, messages, bytes and tokens."""
