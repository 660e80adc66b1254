"""Register the data directories of this user's running services, so that commands find them.

`chatvault serve` keeps one small file a data directory in the user's state directory. The lock on
its data shows whether the service still runs, so a file left by a crash does no harm.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from chatvault.mongodb.embedded import is_served
from chatvault.mongodb.keeper import DATA


def has_data(data_dir: Path) -> bool:
    """Whether the embedded MongoDB has stored anything in this directory."""
    return (data_dir / DATA).is_dir()


@contextlib.contextmanager
def announced(data_dir: Path) -> Iterator[None]:
    """Announce the service on this data to commands while the context lasts."""
    record = _folder() / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    # Without a writable home there is no announcement, but the service runs.
    with contextlib.suppress(OSError):
        record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        record.write_text(f"{data_dir}\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            record.unlink(missing_ok=True)


def find_served() -> list[Path]:
    """Return the data directories that services of this user work on now."""
    try:
        records = sorted(_folder().iterdir())
    except OSError:
        return []
    found = []
    for record in records:
        with contextlib.suppress(OSError, UnicodeError):
            data_dir = Path(record.read_text().strip())
            if is_served(data_dir):
                found.append(data_dir)
            else:
                record.unlink(missing_ok=True)
    return found


def _folder() -> Path:
    return Path(platformdirs.user_state_dir("chatvault", appauthor=False)) / "serving"
