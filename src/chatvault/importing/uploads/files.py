"""The files of uploads in the data directory, readable only by the service."""

import contextlib
import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bson import ObjectId

from chatvault.errors import Unavailable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# The space that uploads leave free on a disk, which MongoDB may share; a twentieth of a small one.
RESERVE: Final = 1024**3
_SUFFIX: Final = ".part"
# A file exists before its document does.
_YOUNG_SECONDS: Final = 3600.0


class NoSpace(Unavailable):
    """There is no room for the upload on this machine's disk; try again later."""

    code = "no_space"


class UploadFiles:
    """The files of one data directory.

    Args:
        directory: its path; created with the first file.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def place(self) -> str:
        """Return the name of this directory among those of other machines.

        Raises:
            NoSpace: the disk is full.
            OSError: it cannot be used.
        """
        path = self._directory / "place"
        with contextlib.suppress(FileNotFoundError):
            return path.read_text()
        with _report_full_disk():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            working = path.with_suffix(f".{secrets.token_hex(8)}")
            working.write_text(secrets.token_hex(16))
            # One of two concurrent processes wins.
            with contextlib.suppress(FileExistsError):
                os.link(working, path)
            working.unlink()
        return path.read_text()

    def place_if_any(self) -> str | None:
        """Return what `place` returns; None if there never was an upload."""
        return self.place() if (self._directory / "place").exists() else None

    def path(self, upload_id: ObjectId) -> Path:
        """Return the path of an upload's file."""
        return self._directory / f"{upload_id}{_SUFFIX}"

    def create(self, upload_id: ObjectId, length: int) -> None:
        """Create an empty file for that many bytes.

        Raises:
            NoSpace: the disk is full, or would be.
        """
        self._check_room(length)
        with _report_full_disk():
            descriptor = os.open(self.path(upload_id), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.close(descriptor)

    def _check_room(self, length: int) -> None:
        disk = shutil.disk_usage(self._directory)
        if disk.free - length < min(RESERVE, disk.total // 20):
            raise NoSpace(retry_after=60)

    def size(self, upload_id: ObjectId) -> int | None:
        """Return the size of a file; None if it does not exist."""
        try:
            return self.path(upload_id).stat().st_size
        except FileNotFoundError:
            return None

    def append(self, upload_id: ObjectId, data: bytes) -> None:
        """Append bytes; if the disk is full, some of them may have been written.

        Raises:
            NoSpace: the disk is full, or would be.
        """
        self._check_room(len(data))
        with _report_full_disk(), self.path(upload_id).open("ab") as file:
            file.write(data)

    def sync(self, upload_id: ObjectId) -> None:
        """Flush a file to the disk.

        Raises:
            NoSpace: the disk is full.
        """
        with _report_full_disk(), self.path(upload_id).open("ab") as file:
            os.fsync(file.fileno())

    def remove(self, upload_id: ObjectId) -> None:
        """Remove a file if it exists."""
        self.path(upload_id).unlink(missing_ok=True)

    def list_old(self) -> list[ObjectId]:
        """Return the ids of files without writes for an hour."""
        before = time.time() - _YOUNG_SECONDS
        found = []
        for path in self._directory.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                if ObjectId.is_valid(path.stem) and path.stat().st_mtime < before:
                    found.append(ObjectId(path.stem))
        return found


@contextlib.contextmanager
def _report_full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(retry_after=60) from None
        raise
