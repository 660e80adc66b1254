"""Files packed with gzip, such as the parts of an export in the background."""

import zlib
from typing import Final

from chatvault.importing.files.streams import NotJsonError, Stream

MAGIC: Final = b"\x1f\x8b\x08"
# zlib's number for gzip's header and the widest window.
_WINDOW: Final = 31
_BLOCK: Final = 1024 * 1024
_PACKED_BLOCK: Final = 64 * 1024


class Gunzipped:
    """The bytes of a stream of gzip, unpacked as they are read.

    Args:
        packed: the stream, from its beginning.
        name: what an error begins with; empty for a file that stands alone.
    """

    def __init__(self, packed: Stream, name: str = "") -> None:
        self._packed = packed
        self._name = name
        self._inflate = zlib.decompressobj(_WINDOW)
        self._waiting = b""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; none at the end.

        Raises:
            NotJsonError: It is cut off or damaged.
        """
        wanted = _BLOCK if size < 0 else size
        while True:
            block = self._waiting or self._packed.read(_PACKED_BLOCK)
            if not block:
                if self._inflate.eof:
                    return b""
                raise self._stop("the gzip ends too early")
            # Several may follow each other, and are one file.
            if self._inflate.eof:
                self._inflate = zlib.decompressobj(_WINDOW)
            try:
                data = self._inflate.decompress(block, wanted)
            except zlib.error:
                raise self._stop("is damaged in the gzip") from None
            self._waiting = self._inflate.unconsumed_tail or self._inflate.unused_data
            if data:
                return data

    def _stop(self, reason: str) -> NotJsonError:
        return NotJsonError(f"{self._name}: {reason}" if self._name else reason, cut=True)
