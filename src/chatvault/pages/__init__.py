"""Serves the built web page, whose sources are in `ui/`."""
