"""The number of histories that hypothesis makes for a test."""

import sys


def examples(usual: int, long: int) -> int:
    """Return the number for a usual run, or that for a run with `--long`."""
    return long if "--long" in sys.argv else usual
