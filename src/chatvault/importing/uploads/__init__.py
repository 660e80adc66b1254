"""Resumable uploads of files to import."""
