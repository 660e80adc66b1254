"""The pieces of replies while they are written, for a connection that asks for them."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from bson import ObjectId

from chatvault.access import Access
from chatvault.errors import ChatvaultError
from chatvault.live.mailbox import Mailbox
from chatvault.replies import service as replies
from chatvault.replies.deps import ReplyDeps
from chatvault.replies.events import LAST
from chatvault.tasks import stop

# The most conversations a connection may ask for.
MOST_CONVERSATIONS = 20
# The ids of a conversation and of a reply in it.
ReplyKey = tuple[ObjectId, ObjectId]


class ReplyPieces:
    """Puts the pieces of replies into a mailbox, as long as their conversation is asked for.

    They come from this process's memory, or from what another process has stored. A client that
    reads slowly slows this down, and nothing else.

    Args:
        access: to the data of the connection's user.
        find_shared: returns the access to a conversation that is shared with the user, by its id
            as text; None if it is not, or no longer.
        deps: what replies are followed with.
        mailbox: of the connection.
    """

    def __init__(
        self,
        access: Access,
        find_shared: Callable[[str], Access | None],
        deps: ReplyDeps,
        mailbox: Mailbox,
    ) -> None:
        self._access = access
        self._find_shared = find_shared
        self._deps = deps
        self._mailbox = mailbox
        self._wanted: set[ObjectId] = set()
        self._tasks: dict[ReplyKey, asyncio.Task[None]] = {}
        self._seen: dict[ReplyKey, int] = {}

    async def choose(self, conversation_ids: list[ObjectId]) -> None:
        """Show the replies in these conversations from now on, and no others."""
        self._wanted = {*conversation_ids}
        unwanted = [key for key in self._tasks if key[0] not in self._wanted]
        await stop(*(self._tasks.pop(key) for key in unwanted))
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] in self._wanted}
        for conversation_id in self._wanted:
            access = self._find_shared(str(conversation_id)) or self._access
            found = await replies.find_active(access, self._deps, conversation_id)
            if found is not None:
                self._begin(conversation_id, found)

    def note(self, conversation_id: str, reply_id: str) -> None:
        """Show a reply that began, if its conversation is asked for."""
        if ObjectId(conversation_id) in self._wanted:
            self._begin(ObjectId(conversation_id), ObjectId(reply_id))

    def _begin(self, conversation_id: ObjectId, reply_id: ObjectId) -> None:
        key = (conversation_id, reply_id)
        running = self._tasks.get(key)
        if running is None or running.done():
            self._tasks[key] = asyncio.create_task(self._follow(key))

    async def _follow(self, key: ReplyKey) -> None:
        of = {"conversation_id": key[0], "reply_id": key[1]}
        shared = self._find_shared(str(key[0]))
        # A guest learns whose it is, and by that it is not shown once the grant has ended.
        more = {} if shared is None else {"owner_id": str(shared.owner_id)}
        access = shared or self._access
        events = replies.follow(access, self._deps, **of, after=self._seen.get(key, 0))
        try:
            async with aclosing(events):
                async for event in events:
                    told = {"number": event.number, "event": event.type, "data": event.data}
                    if more and self._find_shared(str(key[0])) is None:
                        return
                    await self._mailbox.offer({"type": "reply.event", **of, **more, **told})
                    self._seen[key] = event.number
                    if event.type in LAST:
                        return  # One that waits continues with an event of its own.
        except ChatvaultError:
            return  # The conversation is gone, which its own event tells.

    async def close(self) -> None:
        """Stop."""
        await stop(*self._tasks.values())
