"""Exports in the background: files in parts, which wait to be downloaded."""
