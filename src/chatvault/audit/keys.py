"""The key ring that MACs entries and signs blocks; it is kept outside MongoDB."""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import bson
from bson.binary import Binary
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chatvault.errors import ChatvaultError
from chatvault.keys import open_data_dir, read_or_create
from chatvault.settings import Settings

FILE_NAME = "audit.keys"
ROOT_PATTERN = re.compile(r"[0-9a-f]{64}")
# The end of a genuine entry, in BSON: {…, key_id: "8 hex digits", mac: 32 bytes}.
_KEY_ID = b"\x02key_id\x00\x09\x00\x00\x00"
_MAC = b"\x05mac\x00\x20\x00\x00\x00\x00"
_MAC_AT = -1 - 32 - len(_MAC)
_KEY_ID_AT = _MAC_AT - 9
# Counted from an entry's end: where the caller's fields end, and the two fields above begin.
BODY_END = _KEY_ID_AT - len(_KEY_ID)


class InvalidKeys(ChatvaultError):
    """The audit keys cannot be read: each must be 64 hexadecimal digits."""

    code = "invalid_audit_keys"


class KeysMissing(ChatvaultError):
    """None of the audit keys is one that sealed the audit log."""

    code = "audit_keys_missing"


class Key:
    """One root key and the two keys made from it.

    Args:
        root: 32 random bytes.

    Attributes:
        id: 8 hex digits that identify the key and reveal nothing about it.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self.id = hashlib.sha256(root).hexdigest()[:8]
        self._mac_key = self._derive(b"chatvault audit entries, HMAC-SHA256")

    def _derive(self, label: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=label).derive(self._root)

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        seed = self._derive(b"chatvault audit blocks, Ed25519")
        return Ed25519PrivateKey.from_private_bytes(seed)

    @cached_property
    def public(self) -> bytes:
        """The 32 bytes that check signatures and cannot make them."""
        return self._private.public_key().public_bytes_raw()

    def mac(self, message: bytes) -> bytes:
        """Return the HMAC-SHA256 of a message, 32 bytes."""
        return hmac.digest(self._mac_key, message, "sha256")

    def is_mac(self, message: bytes, mac: bytes) -> bool:
        """Whether this key made the MAC of the message."""
        return hmac.compare_digest(self.mac(message), mac)

    def sign(self, message: bytes) -> bytes:
        """Return an Ed25519 signature, 64 bytes."""
        return self._private.sign(message)


class KeyRing:
    """All root keys, newest first: the newest signs, all verify.

    Args:
        roots: 32 bytes each, at least one.
        path: the file they came from; read again when an entry names an unknown key, as keys may
            have been rotated since.
        is_new: whether the file was missing and has just been created.
    """

    def __init__(
        self, roots: Iterable[bytes], path: Path | None = None, *, is_new: bool = False
    ) -> None:
        self._keys = {key.id: key for key in map(Key, roots)}
        self.current = next(iter(self._keys.values()))
        self.path = path
        self.is_new = is_new

    def find(self, key_id: str) -> Key | None:
        """Return the key with this id, or None."""
        if key_id not in self._keys and self.path is not None:
            self._keys |= {key.id: key for key in map(Key, _read(self.path))}
        return self._keys.get(key_id)

    def stamp(self, entry: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Return the entry as it is stored: with more fields, the key's id and the MAC."""
        stamped = {**entry, **more, "key_id": self.current.id}
        stamped["mac"] = Binary(self.current.mac(bson.encode(stamped)))
        return stamped

    def certify(self, name: str) -> str:
        """Return the name followed by a MAC, which processes with these keys recognise."""
        return f"{name}.{self.current.id}.{self.current.mac(_certified(name)).hex()}"

    def is_certified(self, text: str) -> bool:
        """Whether the text was returned by `certify`."""
        name, _, rest = text.partition(".")
        key_id, _, mac = rest.partition(".")
        key = self.find(key_id)
        return key is not None and hmac.compare_digest(key.mac(_certified(name)).hex(), mac)

    def is_genuine(self, raw: bytes) -> bool:
        """Whether one of the keys made the MAC of these stored bytes."""
        length = len(raw).to_bytes(4, "little")
        if raw[:4] != length or raw[-1:] != b"\x00" or raw[_MAC_AT:-33] != _MAC:
            return False
        if raw[BODY_END:_KEY_ID_AT] != _KEY_ID:
            return False
        key = self.find(raw[_KEY_ID_AT : _MAC_AT - 1].decode("latin-1"))
        if key is None:
            return False
        body = (len(raw) + _MAC_AT + 1).to_bytes(4, "little") + raw[4:_MAC_AT] + b"\x00"
        return hmac.compare_digest(key.mac(body), raw[-33:-1])


def _certified(name: str) -> bytes:
    # Not an entry: its length cannot be read from four bytes of text.
    return f"chatvault process {name}".encode()


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the owner of this Ed25519 key signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def load_key_ring(settings: Settings) -> KeyRing:
    """Return the keys of the settings, else those of the data directory, made at the first start.

    Raises:
        InvalidKeys: the file is damaged.
        NotPrivate: the data directory or the file is open to others.
        OSError: the data directory cannot be read or written.
    """
    open_data_dir(settings.data_dir)
    if settings.audit_keys is not None:
        return KeyRing(_parse(settings.audit_keys.get_secret_value().split(",")))
    path = settings.data_dir / FILE_NAME
    is_new = not path.exists()
    read_or_create(path)
    return KeyRing(_read(path), path, is_new=is_new)


def prepend_key(path: Path, root: bytes) -> None:
    """Make a key the newest of the file; the others stay, to verify.

    Raises:
        OSError: the file cannot be replaced.
    """
    working = path.with_suffix(f".{os.getpid()}")
    working.touch(mode=0o600)
    working.write_text("\n".join((root.hex(), *(old.hex() for old in _read(path)))) + "\n")
    working.replace(path)


def new_root() -> bytes:
    """Return a new random root key."""
    return secrets.token_bytes(32)


def _read(path: Path) -> list[bytes]:
    return _parse(path.read_text().split())


def _parse(texts: Iterable[str]) -> list[bytes]:
    roots = [text.strip().lower() for text in texts if text.strip()]
    if not roots or not all(map(ROOT_PATTERN.fullmatch, roots)):
        raise InvalidKeys
    return [bytes.fromhex(root) for root in roots]
