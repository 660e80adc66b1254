"""Conversations that their owners share with other users."""
