"""API keys in requests, and the requests with keys that are being answered."""

import contextlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Protocol

from aiohttp import hdrs, web
from bson import ObjectId

from chatvault.actor import Actor

SCHEME = "bearer"
# What each API key begins with. Other credentials are not ours: a cookie may come beside them.
KEY_PREFIX = "cv_"


class KeyIdentifier(Protocol):
    """Knows whose an API key is."""

    async def identify(self, actor: Actor, secret: str) -> Actor:
        """Return the actor that a request with this key has; raise if the key is wrong."""


def key_in(request: web.Request) -> str | None:
    """Return the API key of the request, right or wrong; None if it brings none."""
    value = request.headers.get(hdrs.AUTHORIZATION)
    if value is None:
        return None
    scheme, _, credentials = value.partition(" ")
    secret = credentials.strip()
    is_key = scheme.lower() == SCHEME and secret.startswith(KEY_PREFIX)
    return secret if is_key else None


class KeyedRequests:
    """The requests with API keys that this process is answering."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[ObjectId, web.Request]] = {}

    @contextlib.contextmanager
    def hold(self, request: web.Request, key_id: ObjectId) -> Iterator[None]:
        """Keep the request in the list while the context lasts."""
        self._open[id(request)] = key_id, request
        try:
            yield
        finally:
            del self._open[id(request)]

    def keys(self) -> AbstractSet[ObjectId]:
        """Return the ids of their keys."""
        return {key_id for key_id, _ in self._open.values()}

    def break_off(self, key_ids: AbstractSet[ObjectId]) -> None:
        """Abort the connections of the requests with these keys, as if their clients had."""
        for key_id, request in self._open.values():
            if key_id in key_ids and request.transport is not None:
                request.transport.abort()
