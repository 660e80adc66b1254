"""Sealing bytes with a user's data key, and opening them."""

import os
import threading
from functools import cached_property
from typing import Final

import zstandard
from bson import ObjectId
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# The first byte of a sealed value: how its content is encoded.
AS_IT_IS: Final = 1
COMPRESSED: Final = 2
NONCE_BYTES: Final = 12
# Version, epoch, nonce, and the tag at the end.
HEAD_BYTES: Final = 1 + 4
OVERHEAD: Final = HEAD_BYTES + NONCE_BYTES + 16
# Content of fewer bytes is not worth compressing.
COMPRESSED_FROM: Final = 1024
LEVEL: Final = 3


class Unreadable(Exception):  # caught by whoever shows what was sealed
    """A sealed value was changed, copied from another place, or its key is gone."""


class UnknownEpoch(Exception):  # a reason to read the user's keys again
    """A value is sealed with a data key that was not there when the keys were read.

    Args:
        user_id: whose key.
    """

    def __init__(self, user_id: ObjectId) -> None:
        self.user_id = user_id
        super().__init__(str(user_id))


class Compressor:
    """Compresses by Zstandard; each thread has a context of its own."""

    def __init__(self) -> None:
        self._own = threading.local()

    def compress(self, data: bytes) -> bytes:
        """Return the data compressed."""
        try:
            context = self._own.compressor
        except AttributeError:
            context = self._own.compressor = zstandard.ZstdCompressor(level=LEVEL)
        compressed: bytes = context.compress(data)
        return compressed

    def decompress(self, data: bytes) -> bytes:
        """Return the data decompressed.

        Raises:
            Unreadable: it is not what `compress` returned.
        """
        try:
            context = self._own.decompressor
        except AttributeError:
            context = self._own.decompressor = zstandard.ZstdDecompressor()
        try:
            plain: bytes = context.decompress(data)
        except zstandard.ZstdError as error:
            raise Unreadable from error
        return plain


class DataKey:
    """One data key of a user, and the keys derived from it.

    Args:
        root: 32 random bytes.
        epoch: the key's number.
    """

    def __init__(self, root: bytes, epoch: int) -> None:
        self._root = root
        self.epoch = epoch
        self._epoch_bytes = epoch.to_bytes(4, "big")

    def derive(self, purpose: str) -> bytes:
        """Return the key of 32 bytes for a purpose: `content`, `search` or `macs`."""
        info = f"chatvault {purpose}".encode()
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._root)

    @cached_property
    def content(self) -> AESGCM:
        """The cipher of content."""
        return AESGCM(self.derive("content"))

    def seal(self, data: bytes, place: bytes, compressor: Compressor) -> bytes:
        """Return the data sealed for one place, which it can only be opened for."""
        version = AS_IT_IS
        if len(data) >= COMPRESSED_FROM:
            smaller = compressor.compress(data)
            if len(smaller) < len(data):
                version, data = COMPRESSED, smaller
        head = bytes((version,)) + self._epoch_bytes
        nonce = os.urandom(NONCE_BYTES)
        return head + nonce + self.content.encrypt(nonce, data, head + place)

    def open(self, sealed: bytes, place: bytes, compressor: Compressor) -> bytes:
        """Return what was sealed for the place.

        Raises:
            Unreadable: the sealed bytes were changed, or sealed for another place.
        """
        head = sealed[:HEAD_BYTES]
        nonce = sealed[HEAD_BYTES : HEAD_BYTES + NONCE_BYTES]
        try:
            data = self.content.decrypt(nonce, sealed[HEAD_BYTES + NONCE_BYTES :], head + place)
        except (InvalidTag, ValueError) as error:
            raise Unreadable from error
        return compressor.decompress(data) if head[0] == COMPRESSED else data


def epoch_of(sealed: bytes) -> int:
    """Return the epoch of the key that sealed a value.

    Raises:
        Unreadable: it is no sealed value.
    """
    if len(sealed) < OVERHEAD or sealed[0] not in {AS_IT_IS, COMPRESSED}:
        raise Unreadable
    return int.from_bytes(sealed[1:HEAD_BYTES], "big")
