"""Tokens that replies use, by user and day, and the statistics made of them."""
