"""Backups: everything that is stored, at one moment, in one file; and the way back."""
