"""Replies: the answers that agents write into conversations."""
