"""Erasure of a person: what is stored of an account, and its removal with a receipt."""
