"""Passes: what a browser sends in place of a link's password, once that was right."""

import hmac
import time
from typing import Final

from chatvault.fields import Raw
from chatvault.keys import SecretKey

LIFETIME_SECONDS: Final = 3600


def make_pass(key: SecretKey, link: Raw) -> str:
    """Return a pass for the link, which works for an hour."""
    until = str(int(time.time()) + LIFETIME_SECONDS)
    return f"{until}.{_sign(key, link, until)}"


def is_pass(key: SecretKey, link: Raw, given: str) -> bool:
    """Whether a text is a pass for the link that still works."""
    until, _, signed = given.partition(".")
    # A text with other characters could not be compared.
    if not until.isascii() or not until.isdigit() or not signed.isascii():
        return False
    return hmac.compare_digest(signed, _sign(key, link, until)) and int(until) > time.time()


def _sign(key: SecretKey, link: Raw, until: str) -> str:
    return key.hash(f"link pass\0{link['_id']}\0{link['password_hash']}\0{until}")
