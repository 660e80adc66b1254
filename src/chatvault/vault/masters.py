"""Master keys, which are kept outside MongoDB and wrap the data keys of users."""

import hashlib
import os
from collections.abc import Iterable

from bson import ObjectId
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chatvault.settings import InvalidSettings, Settings

NONCE_BYTES = 12


class MasterKey:
    """One master key.

    Args:
        root: 32 random bytes.

    Attributes:
        id: 8 hex digits that identify the key and reveal nothing about it.
    """

    def __init__(self, root: bytes) -> None:
        self.id = hashlib.sha256(b"chatvault master key" + root).hexdigest()[:8]
        self._cipher = AESGCM(root)

    def wrap(self, data_key: bytes, user_id: ObjectId, epoch: int) -> bytes:
        """Return a data key as it is stored."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data_key, self._bind(user_id, epoch))

    def unwrap(self, wrapped: bytes, user_id: ObjectId, epoch: int) -> bytes | None:
        """Return a stored data key; None if it was changed, or is another user's or epoch's."""
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, self._bind(user_id, epoch))
        except (InvalidTag, ValueError):
            return None

    def _bind(self, user_id: ObjectId, epoch: int) -> bytes:
        return user_id.binary + epoch.to_bytes(4, "big") + self.id.encode()


class MasterKeys:
    """All master keys, newest first: the newest wraps, all unwrap.

    Args:
        roots: 32 bytes each, at least one.
    """

    def __init__(self, roots: Iterable[bytes]) -> None:
        self._keys = {key.id: key for key in map(MasterKey, roots)}
        self.newest = next(iter(self._keys.values()))

    def find(self, key_id: str) -> MasterKey | None:
        """Return the key with this id, or None."""
        return self._keys.get(key_id)

    @property
    def ids(self) -> list[str]:
        """The ids of all keys, newest first."""
        return list(self._keys)


def load_master_keys(settings: Settings) -> MasterKeys | None:
    """Return the master keys of the settings; None if there are none.

    Raises:
        InvalidSettings: two are the same.
    """
    if settings.master_keys is None:
        return None
    texts = settings.master_keys.get_secret_value().split(",")
    roots = [bytes.fromhex(each.strip()) for each in texts]
    if len(set(roots)) < len(roots):
        raise InvalidSettings("CHATVAULT_MASTER_KEYS has the same key twice; remove one of them")
    return MasterKeys(roots)
