"""The format of a backup file: compressed BSON in frames that a chain of hashes covers.

The first line names the format. A frame is its kind (1 byte), the lengths of its payload, stored
and decompressed (4 bytes each, little-endian), the payload in zstd, and SHA-256 of the hash before,
kind, lengths and payload; the first hash is that of the line. There is a header; for each
collection its name and its documents, concatenated BSON, in any number of frames; an end with the
counts; and a seal, a MAC of the hash before it by an audit key.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, BinaryIO, Final

import bson
import zstandard

from chatvault.audit.keys import KeyRing
from chatvault.backup.errors import BackupDamaged, NotABackup

FORMAT: Final = 1
_NAME: Final = b"chatvault backup "
# Longer than any line with a number that a later version may write.
_MAX_LINE: Final = 40
_HEAD: Final = struct.Struct("<cII")
_HASH_BYTES: Final = 32
# A batch of MongoDB's has at most 16 MB and a document.
_MAX_PAYLOAD: Final = 48 * 1024 * 1024
_LEVEL: Final = 3
_MIN_DOCUMENT: Final = 5


class Kind(StrEnum):
    """The content of a frame."""

    HEADER = "H"
    COLLECTION = "C"
    DOCUMENTS = "D"
    END = "E"
    SEAL = "S"


class FrameWriter:
    """Writes frames.

    Args:
        file: written from its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        line = b"%s%d\n" % (_NAME, FORMAT)
        file.write(line)
        self._chain = hashlib.sha256(line).digest()

    def write(self, kind: Kind, payload: bytes) -> None:
        """Write a frame.

        Raises:
            OSError: the file cannot be written.
        """
        stored = self._compressor.compress(payload)
        head = _HEAD.pack(kind.encode(), len(stored), len(payload))
        self._chain = _hash(self._chain, head, stored)
        self._file.write(head)
        self._file.write(stored)
        self._file.write(self._chain)

    def seal(self, keys: KeyRing) -> None:
        """Write the last frame: a MAC of all before it.

        Raises:
            OSError: the file cannot be written.
        """
        key = keys.current
        mac = key.mac(_sealed(self._chain))
        self.write(Kind.SEAL, bson.encode({"key_id": key.id, "mac": mac}))


class FrameReader:
    """Reads frames, and checks each before it is returned.

    Args:
        file: read from its beginning.
        name: what errors call it.
        count: called with how many more bytes were read.

    Raises:
        NotABackup: the file is none, or of a newer format.
    """

    def __init__(self, file: BinaryIO, name: str, count: Callable[[int], None]) -> None:
        self._file = file
        self._name = name
        self._count = count
        self._decompressor = zstandard.ZstdDecompressor()
        self._at = 0
        self._before = b""
        self._chain = hashlib.sha256(self._read_line()).digest()

    def _read_line(self) -> bytes:
        line = self._file.readline(_MAX_LINE)
        number = line.removeprefix(_NAME).removesuffix(b"\n")
        if not line.startswith(_NAME) or not line.endswith(b"\n") or not number.isdigit():
            raise NotABackup(f"{self._name} is no backup of chatvault")
        if int(number) != FORMAT:
            raise NotABackup(
                f"{self._name} was written by a newer chatvault, in format {int(number)}; "
                f"this one reads format {FORMAT}: restore it with that version"
            )
        self._advance(len(line))
        return line

    def frames(self) -> Iterator[tuple[Kind, bytes]]:
        """Yield the frames up to the seal, the last.

        Raises:
            BackupDamaged: the file was cut or changed, at the named byte.
            OSError: it cannot be read.
        """
        while True:
            kind, payload = self._read_frame()
            yield kind, payload
            if kind is Kind.SEAL:
                break
        if self._file.read(1):
            raise self.damaged("something follows its end")

    def is_sealed_by(self, keys: KeyRing, seal: dict[str, Any]) -> bool | None:
        """Return whether the seal is a MAC by our key; None without its key.

        Call it after the last frame.
        """
        key = keys.find(str(seal["key_id"]))
        return None if key is None else key.is_mac(_sealed(self._before), bytes(seal["mac"]))

    def _read_frame(self) -> tuple[Kind, bytes]:
        head = self._read(_HEAD.size)
        kind, stored_length, length = _HEAD.unpack(head)
        if max(stored_length, length) > _MAX_PAYLOAD:
            raise self.damaged()
        stored = self._read(stored_length)
        chain = _hash(self._chain, head, stored)
        if self._read(_HASH_BYTES) != chain:
            raise self.damaged()
        self._before, self._chain = self._chain, chain
        try:
            if zstandard.frame_content_size(stored) != length:
                raise self.damaged()
            payload = self._decompressor.decompress(stored)
            known = Kind(kind.decode())
        except (zstandard.ZstdError, ValueError):
            raise self.damaged() from None
        self._advance(len(head) + len(stored) + _HASH_BYTES)
        return known, payload

    def _read(self, size: int) -> bytes:
        found = self._file.read(size)
        if len(found) < size:
            raise self.damaged("it ends too early")
        return found

    def _advance(self, size: int) -> None:
        self._at += size
        self._count(size)

    def damaged(self, how: str = "a hash differs") -> BackupDamaged:
        """Return the error for what is wrong from the current frame on."""
        return BackupDamaged(
            f"{self._name} is not whole: it was cut or changed at byte {self._at} or after ({how})"
        )


def split(payload: bytes) -> Iterator[bytes]:
    """Yield the BSON documents that stand one after the other.

    Raises:
        ValueError: they do not fill the payload.
    """
    at = 0
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 4], "little")
        if size < _MIN_DOCUMENT or at + size > len(payload):
            raise ValueError("no BSON")
        yield payload[at : at + size]
        at += size


def _hash(before: bytes, head: bytes, stored: bytes) -> bytes:
    found = hashlib.sha256(before)
    found.update(head)
    found.update(stored)
    return found.digest()


def _sealed(chain: bytes) -> bytes:
    # Not an entry: its length cannot be read from four bytes of text.
    return b"chatvault backup " + chain
