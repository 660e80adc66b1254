"""The path of an embedded MongoDB's socket: in a private directory, as it must be short.

A record in the data directory has the path, for other processes and for the next start.
"""

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 100  # bytes; the kernel's limit is 103 on macOS, 107 on Linux
_SOCKET = "mongod.sock"


def recorded(record: Path) -> Path:
    """Return the socket's path in the record.

    Raises:
        OSError: there is no record.
    """
    return Path(record.read_text().strip())


def to_record(record: Path, folder: Path) -> Path:
    """Make the record name the socket in a directory; leave it unchanged if it does already.

    Returns:
        The socket's path.

    Raises:
        OSError: the record cannot be written.
    """
    path = folder / _SOCKET
    if not record.exists() or recorded(record) != path:
        part = record.with_suffix(".part")
        part.write_text(f"{path}\n")
        part.replace(record)
    return path


def folders(record: Path) -> Iterator[Path]:
    """Yield directories to try for the socket: the record's, one of that name, then any."""
    root = Path(tempfile.gettempdir())
    if len(os.fsencode(root)) > _LONGEST - 50:
        root = Path("/tmp")  # noqa: S108 - the directory made in it is checked to be private
    ours = root / f"chatvault-{os.getuid()}"
    before = recorded(record).parent if record.exists() else None
    if before and re.fullmatch("[0-9a-f]{8}", before.name):
        if before.parent.name == ours.name and os.access(before.parent, os.W_OK):
            yield before  # connected clients know no other path
        yield ours / before.name
    while True:
        yield ours / secrets.token_hex(4)
