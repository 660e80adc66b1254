"""Check the machine's disk space, limit of open files and directory for a mongod.

Standard library only, as the keeper imports it.
"""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":  # there the command line imports this, and says what to do instead
    import resource

ROOM = 32 * 1024 * 1024  # bytes; the largest file of mongod's journal
OPEN_FILES = 512  # its collections and indexes, and a hundred connections
_ENOUGH_FILES = 64_000  # what MongoDB recommends
_MB = 1024 * 1024


def why_mongod_cannot_start(data_dir: Path, folder: Path) -> str | None:
    """Return why a mongod could not start on its folder in the data directory, or None.

    Raises:
        OSError: the data directory is gone.
    """
    return why_unusable(folder) or why_no_room(data_dir) or why_few_files()


def why_no_room(data_dir: Path) -> str | None:
    """Return how much space the disk lacks for a mongod to start, or None if there is enough.

    Raises:
        OSError: the directory is gone.
    """
    disk = os.statvfs(data_dir)
    free = disk.f_bavail * disk.f_frsize
    if free >= ROOM:
        return None
    return (
        f"the disk of {data_dir} has {free // _MB} MB left,"
        f" and MongoDB needs {ROOM // _MB} MB to start; make room"
    )


def why_unusable(folder: Path) -> str | None:
    """Return why this process cannot create or use a directory, or None."""
    if folder.is_symlink() and not folder.exists():
        return f"{folder} is a link to {folder.readlink()}, which is not there; mount or make that"
    if not folder.exists():
        return None
    if not folder.is_dir():
        return f"{folder} is not a directory; move it away, or choose another data directory"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return (
            f"{folder} cannot be read and written by this user;"
            f" it belongs to user {folder.stat().st_uid}, or its disk is mounted read-only"
        )
    return None


def why_not_private(folder: Path) -> str | None:
    """Create a directory for this user alone, or return why an existing one is not private.

    Raises:
        OSError: it cannot be created.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    private = stat.S_ISDIR(seen.st_mode) and not seen.st_mode & 0o077
    if private and seen.st_uid == os.getuid():
        return None
    return (
        f"{folder} must be a directory that only you may enter;"
        " remove it, or set TMPDIR to a directory of your own"
    )


def why_few_files() -> str | None:
    """Return why this process and its children may open too few files, or None."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most >= OPEN_FILES:
        return None
    return (
        f"no more than {most} files may be open here, and MongoDB needs {OPEN_FILES};"
        " raise the limit, as by `ulimit -n 1024`"
    )


def allow_open_files() -> None:
    """Raise the limit of open files for this process and its children, up to what MongoDB wants."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if most == resource.RLIM_INFINITY else min(most, _ENOUGH_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        # macOS reports a higher limit than it allows.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
