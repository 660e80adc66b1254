"""Directories for open indexes, in memory where the system has a file system there."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import structlog

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a directory of our own in it, that nobody else may read
# Docker gives 64 MB, unless it is started otherwise; that is too little.
LEAST_FREE: Final = 256 * 1024 * 1024
PREFIX: Final = "chatvault-search-"
LOCK: Final = "lock"
log = structlog.get_logger()


def find_place(chosen: Path | None) -> Path:
    """Return where indexes are opened: the chosen place, memory, or that of temporary files."""
    if chosen is not None:
        return chosen
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= LEAST_FREE:
            return MEMORY
    return Path(tempfile.gettempdir())


class Workspace:
    """A private directory of this process, that is removed at the end.

    Args:
        place: where to make it; None chooses one.
    """

    def __init__(self, place: Path | None) -> None:
        self._place = place
        self._root: Path | None = None
        self._lock: int | None = None

    def make(self) -> Path:
        """Make and return a new directory.

        Raises:
            OSError: there is no room, or no right to.
        """
        if self._root is None:
            self._open()
        return Path(tempfile.mkdtemp(dir=self._root))

    def _open(self) -> None:
        place = find_place(self._place)
        place.mkdir(parents=True, exist_ok=True)
        _remove_left(place)
        self._root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        # Held until the process ends, so that others know whether it is in use. It has its name
        # once it is held: another process would take it in between, and remove the directory.
        new = self._root / f"{LOCK}.new"
        self._lock = os.open(new, os.O_CREAT | os.O_RDWR, 0o600)
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(self._root / LOCK)

    def close(self) -> None:
        """Remove everything."""
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _remove_left(place: Path) -> None:
    """Remove the directories of processes that were killed."""
    for each in place.glob(PREFIX + "*") if fcntl is not None else ():
        with contextlib.suppress(OSError):
            lock = os.open(each / LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            finally:
                os.close(lock)
            shutil.rmtree(each, ignore_errors=True)
            log.info("search_directory_removed")
