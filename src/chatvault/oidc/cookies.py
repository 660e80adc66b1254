"""The cookie of a sign-in that has begun: only this service reads it, and nobody changes it."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson
from bson import ObjectId
from cryptography.fernet import Fernet, InvalidToken

from chatvault.fields import Raw
from chatvault.keys import SecretKey
from chatvault.oidc.identity import Redirect

# The time that somebody has for signing in with the provider.
PATIENCE: Final = timedelta(minutes=10)
PURPOSE: Final = "the cookie of a sign-in with OpenID Connect"


@dataclass(frozen=True, slots=True)
class Pending:
    """A sign-in that has begun, as its cookie holds it.

    Attributes:
        redirect: what ties the answer to it.
        return_to: where the browser goes after it.
        user_id: whose account is to be linked; None for a sign-in.
    """

    redirect: Redirect
    return_to: str
    user_id: ObjectId | None


def seal(key: SecretKey, pending: Pending) -> str:
    """Return the cookie of a sign-in: only this service reads it, and nobody changes it."""
    redirect = pending.redirect
    told = {
        "uri": redirect.uri,
        "state": redirect.state,
        "nonce": redirect.nonce,
        "verifier": redirect.verifier,
        "return_to": pending.return_to,
        "user_id": None if pending.user_id is None else str(pending.user_id),
    }
    return _fernet(key).encrypt(orjson.dumps(told)).decode()


def open_cookie(key: SecretKey, cookie: str) -> Pending | None:
    """Return the sign-in that a cookie holds; None if it is not ours, or too old."""
    seconds = int(PATIENCE.total_seconds())
    try:
        told: Raw = orjson.loads(_fernet(key).decrypt(cookie, ttl=seconds))
    except (InvalidToken, ValueError):
        return None
    redirect = Redirect(told["uri"], told["state"], told["nonce"], told["verifier"])
    user_id = told["user_id"]
    return Pending(redirect, told["return_to"], None if user_id is None else ObjectId(user_id))


def _fernet(key: SecretKey) -> Fernet:
    return Fernet(urlsafe_b64encode(key.derive(PURPOSE)))
