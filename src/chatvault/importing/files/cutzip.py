"""Read a ZIP that was cut off: its central directory is missing, its files are not."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from chatvault.importing.files.streams import Stream

_MAGIC: Final = b"PK\x03\x04"
_HEADER: Final = struct.Struct("<6xHH8xI4xHH")
_IN_ZIP64: Final = 0xFFFFFFFF
_BLOCK: Final = 1024 * 1024


def found_files(file: Any, on_bytes: Callable[[int], None]) -> Iterator[tuple[str, Stream]]:
    """Yield the name and the bytes of each file, from one local header to the next.

    Args:
        file: the ZIP; the bytes of a file in it are to be read before the next one is asked for.
        on_bytes: called with the length of whatever is unpacked, read by the caller or not.
    """
    file.seek(0)
    while True:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size or not header.startswith(_MAGIC):
            return
        flags, method, size, name_size, extra_size = _HEADER.unpack(header)
        name = file.read(name_size).decode("utf-8", "replace")
        file.seek(extra_size, io.SEEK_CUR)
        begin = file.tell()
        if method != zipfile.ZIP_DEFLATED or flags & 1:
            # Without its size, the beginning of the next file is unknown.
            if not size or size == _IN_ZIP64:
                return
            file.seek(begin + size)
            continue
        inflated = _Inflated(file, on_bytes)
        yield name, inflated
        while inflated.read(_BLOCK):
            pass
        file.seek(begin + inflated.packed)
        # The data descriptor, which follows the data where the header has no size.
        if flags & 8:
            after = file.read(64).find(_MAGIC)
            if after < 0:
                return
            file.seek(begin + inflated.packed + after)


class _Inflated:
    """The inflated bytes of a deflated stream, up to its end or to where it is cut off."""

    def __init__(self, file: Any, on_bytes: Callable[[int], None]) -> None:
        self._file = file
        self._on_bytes = on_bytes
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self.packed = 0

    def read(self, size: int = -1, /) -> bytes:
        wanted = _BLOCK if size < 0 else size
        while not self._inflate.eof:
            block = self._inflate.unconsumed_tail or self._file.read(64 * 1024)
            if not block:
                return b""
            try:
                data = self._inflate.decompress(block, wanted)
            except zlib.error:
                return b""
            rest = len(self._inflate.unconsumed_tail) + len(self._inflate.unused_data)
            self.packed += len(block) - rest
            if data:
                self._on_bytes(len(data))
                return data
        return b""
