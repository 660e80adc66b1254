"""Changing many conversations in bounded steps."""
