"""The text of an API key: `cv_`, 32 random bytes, and a checksum.

Secret scanners can find it by its form, and tell by the checksum that it is no accident.
"""

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "cv_"
RANDOM_BYTES = 32
# How many digits 32 bytes, and a CRC32, have at most.
RANDOM_DIGITS = 43
CHECK_DIGITS = 6
# How much of a key is stored and shown, so that its owner recognises it.
SHOWN = 12
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_DIGITS + CHECK_DIGITS}}}")


def new_secret() -> str:
    """Return the text of a new key, which is shown once and stored nowhere."""
    digits = _base62(int.from_bytes(secrets.token_bytes(RANDOM_BYTES)), RANDOM_DIGITS)
    return PREFIX + digits + _checksum(digits)


def is_well_formed(secret: str) -> bool:
    """Whether the text has the form and the checksum of a key, whoever made it."""
    if not PATTERN.fullmatch(secret):
        return False
    digits = secret[len(PREFIX) : -CHECK_DIGITS]
    return _checksum(digits) == secret[-CHECK_DIGITS:]


def hash_secret(secret: str) -> bytes:
    """Return the SHA-256 of a key, which is what the database stores.

    A key is as random as its hash, so a slow hash as for passwords would protect nothing more.
    """
    return hashlib.sha256(secret.encode()).digest()


def _checksum(digits: str) -> str:
    return _base62(zlib.crc32(digits.encode()), CHECK_DIGITS)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
