"""Write a ZIP as a stream; only its central directory stays in memory."""

import zipfile
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Self

# The range of years in ZIP's timestamps.
FIRST_YEAR, LAST_YEAR = 1980, 2107
# The lowest level shrinks text to a third, four times as fast as the default level.
LEVEL = 1


class _Sink:
    """A write-only file for zipfile that cannot seek; buffers bytes until they are taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits here."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class Archive:
    """Writes one file after another; invalid until `close` writes the central directory."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(
            self._sink,  # type: ignore[call-overload]  # all that zipfile needs of a file
            "w",
            zipfile.ZIP_DEFLATED,
            compresslevel=LEVEL,
        )
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        # Discard whatever is written from here on.
        self.end()
        self._zip.close()

    def has(self, name: str) -> bool:
        """Return whether the archive has a file of this name."""
        return name in self._zip.NameToInfo

    def begin(self, name: str, at: datetime, *, is_large: bool = False) -> None:
        """Begin a file.

        Args:
            name: its path.
            at: when it was changed.
            is_large: whether it may exceed 2 GB, which not every program can read.
        """
        year = min(max(at.year, FIRST_YEAR), LAST_YEAR)
        info = zipfile.ZipInfo(name, (year, at.month, at.day, at.hour, at.minute, at.second))
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        self._file = self._zip.open(info, "w", force_zip64=is_large)

    def write(self, data: bytes) -> None:
        """Write to the open file.

        Raises:
            RuntimeError: no file is open.
        """
        if self._file is None:
            raise RuntimeError("no file of the archive is open")
        self._file.write(data)

    def end(self) -> None:
        """Close the open file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, name: str, data: bytes, at: datetime | None = None) -> None:
        """Write a whole file."""
        self.begin(name, at or datetime.now(UTC))
        self.write(data)
        self.end()

    def take(self) -> bytes:
        """Return the bytes written since the last call."""
        return self._sink.take()

    def close(self) -> bytes:
        """Write the central directory; return the rest of the archive."""
        self._zip.close()
        return self.take()
