"""A memory file system for the tests' data: most of their time would go into flushes otherwise."""

import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # pytest makes a private directory in it
ROOM = 4 * 1024**3


def use_memory() -> None:
    """Put `tmp_path` into memory if there is room, unless the caller chose a place."""
    if os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))


def disk() -> Path:
    """Return a directory for temporary files on a disk, or the machine's default one."""
    return Path(tempfile.gettempdir())
