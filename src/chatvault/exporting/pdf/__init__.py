"""Conversations as PDF, set by typst, an optional dependency, in a limited program of its own."""
