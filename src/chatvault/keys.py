"""The secret key, which is kept outside MongoDB, and the hashes made with it."""

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import sys
from pathlib import Path

from chatvault.errors import ChatvaultError
from chatvault.mongodb.machine import why_unusable
from chatvault.settings import InvalidSettings, Settings

FILE_NAME = "secret.key"
MIN_LENGTH = 32


class NotPrivate(ChatvaultError):
    """The data directory or a key is open to other users of this machine."""

    code = "not_private"


class SecretKey:
    """Makes hashes that cannot be reversed or guessed without the key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def derive(self, purpose: str) -> bytes:
        """Return a key of 32 bytes for one purpose."""
        return hmac.new(self._key, f"derived for {purpose}".encode(), hashlib.sha256).digest()

    def hash(self, text: str) -> str:
        """Return 16 bytes of HMAC-SHA-256 over the text, as 32 hex digits."""
        return self.hash_bytes(text.encode("utf-8", "surrogatepass"))

    def hash_bytes(self, *parts: bytes | bytearray) -> str:
        """Return the hash of UTF-8 parts as if they were one text."""
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(part)
        return mac.hexdigest()[:32]


def load_secret_key(settings: Settings) -> SecretKey:
    """Return the key of the settings, else that of the data directory, made at the first start.

    Raises:
        OSError: the data directory cannot be read or written.
    """
    if settings.secret_key is not None:
        return SecretKey(settings.secret_key.get_secret_value().encode())
    return SecretKey(read_or_create(settings.data_dir / FILE_NAME))


def read_or_create(path: Path) -> bytes:
    """Return the content of the key file; create the file if it is missing.

    A new key is 32 random bytes as hex digits, readable by its owner only.

    Raises:
        InvalidSettings: the file holds no key, or its directory cannot be used.
        NotPrivate: others can read it, or enter its directory.
        OSError: it cannot be read or made.
    """
    open_data_dir(path.parent)
    if not path.exists():
        if reason := why_unusable(path.parent):
            raise InvalidSettings(f"{reason}.")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written to another file and linked into place: of two first starts, one key wins whole.
        working = path.with_suffix(f".{os.getpid()}")
        working.touch(mode=0o600)
        working.write_text(secrets.token_hex(32))
        try:
            os.link(working, path)
        except FileExistsError:
            pass
        finally:
            working.unlink()
    refuse_open(path)
    key = path.read_text().strip()
    if len(key) < MIN_LENGTH:
        raise InvalidSettings(f"{path} holds no key; restore it, or remove it to have a new one.")
    return key.encode()


def open_data_dir(path: Path) -> None:
    """Create the data directory for its owner only, unless it exists or cannot be created.

    Raises:
        NotPrivate: it is there, and others can enter it.
    """
    with contextlib.suppress(OSError):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_dir():
        refuse_open(path)


def refuse_open(path: Path) -> None:
    """Raise if the mode of a file or directory lets in users other than its owner.

    On Windows, modes say nothing: there the directory's own access list counts.

    Raises:
        NotPrivate: others are let in.
    """
    if sys.platform == "win32":
        return
    seen = path.stat()
    is_open = seen.st_mode & stat.S_IRWXO
    if seen.st_mode & stat.S_IRWXG and not _is_private(seen.st_gid):
        is_open = True
    if is_open:
        mode = "700" if stat.S_ISDIR(seen.st_mode) else "600"
        raise NotPrivate(
            f"{path} is open to other users of this machine: run `chmod {mode} {path}`, or set "
            "CHATVAULT_DATA_DIR to a directory of your own on a file system that keeps modes."
        )


def _is_private(group: int) -> bool:
    """Whether the group is known to have no member but this process's user.

    Kubernetes gives volumes to a group of the pod's own (`fsGroup`), which has no name.
    """
    import grp  # noqa: PLC0415  # not on Windows
    import pwd  # noqa: PLC0415  # not on Windows

    try:
        members = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        members = set()
    members |= {user.pw_name for user in pwd.getpwall() if user.pw_gid == group}
    mine = {user.pw_name for user in pwd.getpwall() if user.pw_uid == os.geteuid()}
    return members <= mine
