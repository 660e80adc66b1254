"""Deleted conversations, until they are restored or purged."""
