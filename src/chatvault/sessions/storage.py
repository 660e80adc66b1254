"""The aiohttp-session storage: the cookie holds a secret, MongoDB its hash."""

from datetime import timedelta
from typing import Any

import aiohttp_session
from aiohttp import hdrs, web

from chatvault.accounts.sessions import Session, hash_token
from chatvault.actor import Role
from chatvault.fields import now
from chatvault.http.requests import COOKIE, SCHEME
from chatvault.mongodb.batching import Batcher

MAX_TOKEN_LENGTH = 128
# Extending a session is a write, so it is not done at each request.
SLIDE_EVERY = timedelta(minutes=5)
# The session that is to be extended with this request.
DUE = web.RequestKey("due", aiohttp_session.Session)


class SessionStorage(aiohttp_session.AbstractStorage):
    """Finds sessions for requests and sets and extends their cookies.

    Documents are made and removed by the sessions' service, within its transactions; here they are
    only found, and extended with use.

    Args:
        lifetime: how long a session lasts without use.
    """

    def __init__(self, lifetime: timedelta) -> None:
        super().__init__(
            cookie_name=COOKIE,
            max_age=int(lifetime.total_seconds()),
            httponly=True,
            samesite="Lax",
        )
        self._lifetime = lifetime
        self._slide_every = min(SLIDE_EVERY, lifetime / 10)
        self._lookup: Batcher[bytes, dict[str, Any] | None] = Batcher(
            self._find_many, max_size=500, concurrency=2
        )

    @staticmethod
    async def _find_many(hashes: list[bytes]) -> list[dict[str, Any] | None]:
        found = await Session.find_by_hashes(hashes, now())
        by_hash = {stored["token_hash"]: stored for stored in found}
        return [by_hash.get(token_hash) for token_hash in hashes]

    async def load_session(self, request: web.Request) -> aiohttp_session.Session:
        """Return the session of the request's cookie, or a new and empty one."""
        token = self.load_cookie(request)
        if not token or len(token) > MAX_TOKEN_LENGTH:
            return await self.new_session()
        stored = await self._lookup.submit(hash_token(token))
        if stored is None:
            return await self.new_session()
        session = self.resume(token, stored)
        if stored["expires_at"] - now() < self._lifetime - self._slide_every:
            session.changed()
            request[DUE] = session
        return session

    @staticmethod
    def resume(token: str, stored: dict[str, Any]) -> aiohttp_session.Session:
        """Return aiohttp-session's object for a stored session."""
        created = int(stored["last_seen_at"].timestamp())
        data = {
            "id": stored["_id"],
            "user_id": stored["user_id"],
            "role": Role(stored["role"]),
        }
        return aiohttp_session.Session(token, data={"created": created, "session": data}, new=False)

    async def renew_before_stream(self, request: web.Request, response: web.StreamResponse) -> None:
        """Save a session that is due before a stream begins; the library saves it only after."""
        session = request.get(DUE)
        if session is not None and not isinstance(response, web.Response):
            await self.save_session(request, response, session)
            # aiohttp has already turned the other cookies into headers.
            response.headers.add(hdrs.SET_COOKIE, response.cookies[COOKIE].OutputString())

    async def save_session(
        self, request: web.Request, response: web.StreamResponse, session: aiohttp_session.Session
    ) -> None:
        """Send the cookie and extend the session; delete the cookie of an emptied session."""
        secure = request[SCHEME] == "https"
        if session.empty:
            response.del_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="Lax")
            return
        token = str(session.identity)
        if not session.new:
            at = now()
            await Session.get_pymongo_collection().update_one(
                {"token_hash": hash_token(token)},
                {"$set": {"last_seen_at": at, "expires_at": at + self._lifetime}},
            )
        response.set_cookie(
            COOKIE,
            token,
            max_age=self.max_age,
            path="/",
            secure=secure,
            httponly=True,
            samesite="Lax",
        )
