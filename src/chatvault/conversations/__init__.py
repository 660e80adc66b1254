"""Conversations: documents with embedded messages, each owned by one user."""
