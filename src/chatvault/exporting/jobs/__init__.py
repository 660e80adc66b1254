"""Exports in the background: files in parts that can be downloaded later."""
