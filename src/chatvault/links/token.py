"""The token of a link: 256 random bits, which find the link and open its snapshot."""

import base64
import hashlib
import re
import secrets
from typing import Final

from bson import ObjectId

from chatvault.vault.envelope import DataKey

TOKEN_BYTES: Final = 32
PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_NO_EPOCH: Final = 0


def new_token() -> str:
    """Return a new token, which is shown once and stored nowhere."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    """Return the SHA-256 of a token, which is what the database stores."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def snapshot_key(token: str) -> DataKey:
    """Return the key that seals a link's snapshot; nothing stored leads to it.

    Raises:
        ValueError: the text is no token.
    """
    if not PATTERN.fullmatch(token):
        raise ValueError("not a token")
    root = DataKey(base64.urlsafe_b64decode(token + "="), _NO_EPOCH)
    return DataKey(root.derive("link snapshot"), _NO_EPOCH)


def place_of(link_id: ObjectId, no: int) -> bytes:
    """Return the place that a part of a snapshot is sealed for."""
    return link_id.binary + no.to_bytes(4, "big")
