"""The secret key, which is kept outside MongoDB, and the hashes made with it."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from chatvault.machine import why_unusable
from chatvault.settings import InvalidSettings, Settings

FILE_NAME = "secret.key"
MIN_LENGTH = 32


class SecretKey:
    """Makes hashes that nobody without the key can guess their way back from."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash(self, text: str) -> str:
        """16 bytes of HMAC-SHA-256 over the text, as 32 hex digits."""
        mac = hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return mac.hexdigest()[:32]


def load_secret_key(settings: Settings) -> SecretKey:
    """The key from the settings, else from the data directory, made there at the first start.

    Raises:
        OSError: the data directory cannot be read or written.
    """
    if settings.secret_key is not None:
        return SecretKey(settings.secret_key.get_secret_value().encode())
    return SecretKey(read_or_create(settings.data_dir / FILE_NAME))


def read_or_create(path: Path) -> bytes:
    """What the key file holds; made with 32 random bytes as hex digits, for its owner only.

    Raises:
        InvalidSettings: it is there and holds no key, or its directory cannot be used.
        OSError: it cannot be read or made.
    """
    if not path.exists():
        if reason := why_unusable(path.parent):
            raise InvalidSettings(f"{reason}.")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written aside and linked into place, so that of two first starts one key wins whole.
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    key = path.read_text().strip()
    if len(key) < MIN_LENGTH:
        raise InvalidSettings(f"{path} holds no key; restore it, or remove it to have a new one.")
    return key.encode()
