"""Small and read-only disks for a started process, in a mount namespace of its own."""

import functools
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_MOUNT = 'mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@"'


def with_disk(folder: Path, options: str, command: list[str]) -> list[str]:
    """Return the command with its own disk at a directory; its pid stays the caller's child."""
    return ["unshare", "-Urm", "sh", "-c", _MOUNT, options, str(folder), *command]


@functools.cache
def _can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder, suppress(FileNotFoundError):
        command = with_disk(Path(folder), "size=1m", ["true"])
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def require_mounts() -> None:
    """Skip a test if the machine allows no mount namespaces, as in many containers."""
    if not _can_mount():
        pytest.skip("needs `unshare -Urm` and a tmpfs, which this machine does not allow")


def as_seen_by(pid: int, folder: Path) -> Path:
    """Return where another process's directory can be found from here."""
    return Path(f"/proc/{pid}/root{folder}")


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the disk of a directory; `top_up` fills what was freed since."""
    try:
        top_up(folder)
        yield
    finally:
        (folder / "filler").unlink()


def top_up(folder: Path) -> None:
    """Fill the free space of the disk."""
    with (folder / "filler").open("ab", buffering=0) as filler:
        for size in (2**20, 4096, 1):
            with suppress(OSError):
                while True:
                    filler.write(b"x" * size)
