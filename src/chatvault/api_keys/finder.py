"""Finding whose API key a request has, and noting that keys are used and revoked."""

import asyncio
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Protocol

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.actor import Actor, Role, Scope
from chatvault.api_keys.models import USE_WRITTEN_EVERY, ApiKey
from chatvault.api_keys.secret import hash_secret, is_well_formed
from chatvault.api_keys.throttle import KeyThrottle
from chatvault.fields import Raw, now
from chatvault.mongodb.batching import Batcher

# How soon an open stream ends after its key was revoked.
WATCH_SECONDS = 0.5
log = structlog.get_logger()


class OpenRequests(Protocol):
    """The requests with API keys that a process is answering."""

    def keys(self) -> AbstractSet[ObjectId]:
        """Return the ids of their keys."""

    def break_off(self, key_ids: AbstractSet[ObjectId]) -> None:
        """Abort the requests with these keys."""


class KeyFinder:
    """Makes actors of API keys, with one query for those of concurrent requests.

    Nothing is cached: a key that was revoked anywhere, or whose account was closed, is refused with
    the next request. What it has open then is broken off by `run`.

    Args:
        throttle: counts wrong keys.
        open_requests: what is being answered.
    """

    def __init__(self, throttle: KeyThrottle, open_requests: OpenRequests) -> None:
        self._throttle = throttle
        self._open_requests = open_requests
        self._uses: dict[ObjectId, Actor] = {}
        self._lookup: Batcher[bytes, Raw | None] = Batcher(
            self._find_many, max_size=500, concurrency=2
        )

    @staticmethod
    async def _find_many(hashes: list[bytes]) -> list[Raw | None]:
        found = await ApiKey.find_by_hashes(hashes, now())
        by_hash = {stored["key_hash"]: stored for stored in found}
        return [by_hash.get(key_hash) for key_hash in hashes]

    async def identify(self, actor: Actor, secret: str) -> Actor:
        """Return the actor that a request with this key has.

        Args:
            actor: the caller as far as known without the key.
            secret: the key.

        Raises:
            InvalidApiKey: it is wrong, has expired or was revoked, or its account is closed.
            Throttled: the same, and there were too many from this address.
        """
        found = None
        if is_well_formed(secret):
            found = await self._lookup.submit(hash_secret(secret))
        if found is None:
            await self._throttle.refuse(actor.address)
        identified = replace(
            actor,
            user_id=found["user_id"],
            role=Role(found["user"]["role"]),
            key_id=found["_id"],
            scopes=frozenset(scope for scope in Scope if scope in found["scopes"]),
        )
        last = found.get("last_used_at")
        if last is None or now() - last > USE_WRITTEN_EVERY:
            self._uses.setdefault(found["_id"], identified)
        return identified

    async def note_uses(self) -> None:
        """Write when keys were last used.

        Raises:
            PyMongoError: it was not written; the next use is.
        """
        uses, self._uses = self._uses, {}
        if uses:
            at = now()
            statements = [ApiKey.use(actor, at) for actor in uses.values()]
            await ApiKey.get_pymongo_collection().bulk_write(statements, ordered=False)

    async def break_off(self) -> None:
        """Abort what is still being answered for keys that may no longer be used.

        Raises:
            PyMongoError: it is not known which.
        """
        used = self._open_requests.keys()
        if used:
            usable = await ApiKey.find_usable_ids(list(used), now())
            self._open_requests.break_off(used - usable)

    async def run(self) -> None:
        """Note uses and break off streams, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.break_off()
                await self.note_uses()
            except PyMongoError as error:
                log.warning("api_keys_not_watched", error=type(error).__name__)
