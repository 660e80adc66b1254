"""API keys of users, inserted as the service would store them, and programs that use them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient
from bson import ObjectId

from chatvault.accounts.models import User
from chatvault.actor import Scope
from chatvault.api_keys.models import ApiKey
from chatvault.api_keys.secret import SHOWN, hash_secret, new_secret
from chatvault.fields import now
from conftest import HttpClient


@dataclass(frozen=True)
class Key:
    """A key that was made: its id and its text."""

    key_id: ObjectId
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}


async def make_key(
    user_id: ObjectId,
    scopes: Iterable[Scope] = tuple(Scope),
    *,
    lifetime: timedelta = timedelta(days=90),
) -> Key:
    """Store a key, without an entry in the audit log."""
    secret, at = new_secret(), now()
    key = ApiKey(
        user_id=user_id,
        key_hash=hash_secret(secret),
        prefix=secret[:SHOWN],
        name="Backup",
        scopes=list(scopes),
        created_at=at,
        expires_at=at + lifetime,
        created_from="127.0.0.1",
    )
    await key.insert()
    return Key(key.id, secret)


async def key_of(
    username: str = "alice", scopes: Iterable[Scope] = tuple(Scope), **more: Any
) -> Key:
    """Make a key of a user by their name."""
    user = await User.find_one({"username": username})
    assert user is not None
    return await make_key(user.id, scopes, **more)


def program(http: HttpClient, key: Key | str) -> HttpClient:
    """Return a client that sends this key with each request, and keeps no cookies."""
    secret = key if isinstance(key, str) else key.secret
    server: Any = http.server
    headers = {"Authorization": f"Bearer {secret}"}
    client: HttpClient = TestClient(server, cookie_jar=DummyCookieJar(), headers=headers)
    return client
