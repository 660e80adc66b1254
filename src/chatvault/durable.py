"""Make files durable: on the disk, under their name, or not there."""

import os
import sys
from pathlib import Path


def flush_directory(path: Path) -> None:
    """Make a new name in a directory durable; Windows does so by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
