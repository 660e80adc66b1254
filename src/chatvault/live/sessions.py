"""Looks whether the sessions of open connections have ended, and ends the connections then."""

import asyncio
from collections.abc import Iterable

from bson import ObjectId

from chatvault.accounts.sessions import Session
from chatvault.fields import now
from chatvault.live.hub import Hub
from chatvault.live.mailbox import SESSION_ENDED, Mailbox

# Sessions that expire leave no entry.
LOOK_SECONDS = 60.0
AT_ONCE = 1000


class SessionWatch:
    """Ends the connections of sessions that have ended.

    A user's are looked at as soon as the audit log tells that one may have ended, and all of them
    every minute.
    """

    def __init__(self) -> None:
        self._suspected: set[ObjectId] = set()
        self._is_due = asyncio.Event()

    def suspect(self, user_id: ObjectId) -> None:
        """Let a user's sessions be looked at now."""
        self._suspected.add(user_id)
        self._is_due.set()

    async def run(self, hub: Hub) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        again_at = loop.time() + LOOK_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(again_at):
                    await self._is_due.wait()
            except TimeoutError:
                again_at = loop.time() + LOOK_SECONDS
                await end_without_session(hub.mailboxes)
            else:
                self._is_due.clear()
                suspected, self._suspected = self._suspected, set()
                for user_id in suspected:
                    await end_without_session(hub.mailboxes_of(user_id))


async def end_without_session(mailboxes: Iterable[Mailbox]) -> None:
    """End the connections whose session has ended.

    Raises:
        PyMongoError: the database cannot be reached; look again later.
    """
    ids = list({each.session_id for each in mailboxes if each.session_id is not None})
    active: set[ObjectId] = set()
    for start in range(0, len(ids), AT_ONCE):
        active |= await Session.find_active(ids[start : start + AT_ONCE], now())
    for mailbox in mailboxes:
        if mailbox.session_id not in active:
            mailbox.close(SESSION_ENDED)
