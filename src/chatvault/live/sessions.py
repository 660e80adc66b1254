"""Looks whether the sessions of open connections have ended, and ends the connections then."""

import asyncio
from collections import Counter
from contextlib import suppress

from bson import ObjectId

from chatvault.accounts.sessions import Session
from chatvault.fields import now
from chatvault.live.hub import Hub
from chatvault.live.mailbox import SESSION_ENDED, Mailbox

# Sessions that expire leave no entry.
LOOK_SECONDS = 60.0
AT_ONCE = 500


class SessionWatch:
    """Ends the connections of sessions that have ended.

    A user's are looked at as soon as the audit log tells that one may have ended, and all of them
    every minute.
    """

    def __init__(self) -> None:
        # How often each was suspected: it may happen again while one looks.
        self._suspected: Counter[ObjectId] = Counter()
        self._is_due = asyncio.Event()

    def suspect(self, user_id: ObjectId) -> None:
        """Let a user's sessions be looked at now."""
        self._suspected[user_id] += 1
        self._is_due.set()

    async def run(self, hub: Hub) -> None:
        """Look until cancelled; what could not be looked at is looked at again.

        Raises:
            PyMongoError: the database cannot be reached; call it again.
        """
        loop = asyncio.get_running_loop()
        again_at = loop.time() + LOOK_SECONDS
        while True:
            if not self._suspected:
                await self._wait_until(again_at)
            self._is_due.clear()
            suspected = Counter(self._suspected)
            if loop.time() >= again_at:
                again_at = loop.time() + LOOK_SECONDS
                await end_without_session(hub.mailboxes)
            else:
                mine = (hub.mailboxes_of(user_id) for user_id in suspected)
                await end_without_session([each for mailboxes in mine for each in mailboxes])
            # A user who was suspected meanwhile remains so.
            self._suspected -= suspected

    async def _wait_until(self, again_at: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(again_at):
                await self._is_due.wait()


async def end_without_session(mailboxes: list[Mailbox]) -> None:
    """End the connections whose session has ended; those with an API key have none.

    Raises:
        PyMongoError: the database cannot be reached; look again later.
    """
    for start in range(0, len(mailboxes), AT_ONCE):
        some = mailboxes[start : start + AT_ONCE]
        wanted = {(each.user_id, each.session_id) for each in some if each.session_id is not None}
        active = await Session.find_active(wanted, now())
        for mailbox in some:
            session = mailbox.user_id, mailbox.session_id
            if mailbox.session_id is not None and session not in active:
                mailbox.close(SESSION_ENDED)
