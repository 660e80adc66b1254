"""Conversations from elsewhere: one module per source format, one service."""
