"""A copy of a user's conversations that follows the audit log alone, and reads by place."""

import asyncio
from contextlib import aclosing
from typing import Any

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.outbox import ChangeDetails
from chatvault.audit.recorder import Recorder
from chatvault.conversations import service
from chatvault.conversations.messages import service as message_service
from chatvault.conversations.reading.pages import PageRequest
from chatvault.conversations.store import MessageStore
from chatvault.errors import NotFound
from chatvault.mongodb.changes import Token, Watched, follow
from chatvault.tasks import stop
from support.histories import Kept, seen
from support.stored import without_parent

PIPELINE: list[dict[str, Any]] = [
    {"$match": {"operationType": "insert", "fullDocument.details.version": {"$exists": True}}},
    {"$project": {f"fullDocument.{name}": 1 for name in ("user_id", "resource_id", "details")}},
]
PAGE = 5


class Replica:
    """Keeps what it reads at each place that an entry names, and drops what it does not find.

    Args:
        database: the database with the audit log.
        actor: the owner of the copied conversations.
    """

    def __init__(self, database: Any, actor: Actor) -> None:
        self._watched = Watched(
            collection=database[AuditEntry.Settings.name],
            pipeline=PIPELINE,
            await_seconds=0.05,
        )
        self._actor = actor
        self._recorder, self._store = Recorder(), MessageStore()
        self._token: Token | None = None
        self._deleted: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_open = asyncio.Event()
        self.conversations: dict[str, Kept] = {}

    async def start(self) -> None:
        """Follow from now on, or from where it stopped."""
        self._task = asyncio.create_task(self._follow())
        await self._is_open.wait()

    async def stop(self) -> None:
        """Stop wherever it is."""
        assert self._task is not None
        is_done = self._task.done()
        await stop(self._task)
        if is_done:
            self._task.result()

    async def catch_up(self) -> None:
        """Wait until it has read all that is committed now."""
        assert self._task is not None
        mark = audit.entry(Actor(door=Door.CLI), Action.CONVERSATION_DELETE, ObjectId())
        mark["details"] = {"version": 1, "deleted": True}
        await AuditEntry.store([mark])
        async with asyncio.timeout(30):
            while mark["resource_id"] not in self._deleted:
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.005)

    async def _follow(self) -> None:
        async with aclosing(follow(self._watched, self._token)) as batches:
            async for batch in batches:
                assert not (batch.is_gap and self._token)
                for change in batch.changes:
                    await self._apply(change["fullDocument"])
                self._token = batch.token
                self._is_open.set()

    async def _apply(self, entry: dict[str, Any]) -> None:
        told, conversation_id = ChangeDetails.read(entry["details"]), entry["resource_id"]
        assert told is not None
        if told.is_deleted:
            self._deleted.add(conversation_id)
            self.conversations.pop(conversation_id, None)
            return
        if told.is_replaced:
            self._deleted.discard(conversation_id)  # it was restored
        if entry["user_id"] == self._actor.owner_id and conversation_id not in self._deleted:
            try:
                await self._read(ObjectId(conversation_id), told)
            except NotFound:
                # The entry of its deletion is still to come.
                self.conversations.pop(conversation_id, None)

    async def _read(self, conversation_id: ObjectId, told: ChangeDetails) -> None:
        shown = await service.read_back(
            Access.of(self._actor), self._store, conversation_id=conversation_id
        )
        before = self.conversations.get(str(conversation_id), Kept({}, {})).messages
        # Later changes are in the entries that follow.
        messages = {
            seq: each
            for seq, each in before.items()
            if seq not in told.places and (seq >= told.places.start or not told.is_replaced)
        }
        messages |= await self._read_places(conversation_id, told.places)
        kept = Kept(seen(shown.conversation), dict(sorted(messages.items())))
        self.conversations[str(conversation_id)] = kept

    async def _read_places(self, conversation_id: ObjectId, places: range) -> dict[int, Any]:
        found: dict[int, Any] = {}
        after = places.start - 1
        while after + 1 < places.stop:
            page = await message_service.list_page(
                self._actor,
                self._store,
                self._recorder,
                conversation_id=conversation_id,
                wanted=PageRequest(
                    limit=min(PAGE, places.stop - after - 1), after=after, whole=True
                ),
            )
            found |= {
                each.seq: without_parent({**each.message})
                for each in page.messages
                if each.seq in places
            }
            after = page.messages[-1].seq if page.has_more else places.stop
        return found
