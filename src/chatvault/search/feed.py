"""The changed conversations of users who search, from the change stream of the audit log."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final

from bson import ObjectId
from bson.errors import InvalidId

from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry
from chatvault.audit.outbox import CHANGES
from chatvault.mongodb.changes import Batch, Watched, follow
from chatvault.search.known import Known
from chatvault.tasks import stop

# At most fifty requests to MongoDB a second; a message is found so long after it was stored.
GATHER_SECONDS: Final = 0.02
# What is known of users is kept for that long after their last search.
KEPT_SECONDS: Final = 600.0
TIDY_SECONDS: Final = 15.0
SHOWN: Final = (
    *("action", "user_id", "owner_id", "resource_id"),
    *("details.grantee_id", "details.grantees"),
)
PIPELINE: Final[list[dict[str, Any]]] = [
    {
        "$match": {
            "operationType": "insert",
            "fullDocument.action": {"$in": [*sorted(CHANGES), Action.CONVERSATION_SHARE]},
            "fullDocument.details.version": {"$exists": True},
        }
    },
    {"$project": {f"fullDocument.{name}": 1 for name in SHOWN}},
]


class Feed:
    """Notes what changed, for the users who are known.

    It follows the log only while there are any: who never searches costs nothing.

    Args:
        drop: called with users who did not search for a while.
    """

    def __init__(self, drop: Callable[[Known], None]) -> None:
        self._drop = drop
        self._users: dict[ObjectId, Known] = {}
        self._is_wanted = asyncio.Event()
        self._is_open = asyncio.Event()

    def __iter__(self) -> Iterator[Known]:
        return iter([*self._users.values()])

    def __len__(self) -> int:
        return len(self._users)

    @property
    def missing(self) -> int:
        """The number of messages that the indexes of these users do not have yet."""
        return sum(known.missing_count for known in self)

    def find(self, user_id: ObjectId) -> Known | None:
        """Return what is known of a user."""
        return self._users.get(user_id)

    def add(self, known: Known) -> None:
        """Follow the changes of a user's conversations."""
        self._users[known.access.owner_id] = known
        self._is_wanted.set()

    def remove(self, known: Known) -> None:
        """Follow the changes no more."""
        self._users.pop(known.access.owner_id, None)
        self._drop(known)

    async def opened(self) -> None:
        """Return once each change from now on will be noted."""
        await self._is_open.wait()

    async def run(self) -> None:
        """Follow the log while there are users, until cancelled."""
        while True:
            await self._is_wanted.wait()
            following = asyncio.create_task(self._follow())
            try:
                while self._users:
                    await asyncio.wait([following], timeout=TIDY_SECONDS)
                    if following.done():
                        following.result()
                        return
                    self._tidy()
                self._is_wanted.clear()
            finally:
                self._is_open.clear()
                await stop(following)
                for known in self:
                    known.forget()

    def _tidy(self) -> None:
        oldest = time.monotonic() - KEPT_SECONDS
        for known in self:
            is_idle = not known.lock.locked() and known.update is None
            if known.used_at < oldest and is_idle:
                self.remove(known)

    async def _follow(self) -> None:
        entries = AuditEntry.get_pymongo_collection()
        watched = Watched(collection=entries, pipeline=PIPELINE, gather_seconds=GATHER_SECONDS)
        async with aclosing(follow(watched)) as batches:
            async for batch in batches:
                self._take(batch)

    def _take(self, batch: Batch) -> None:
        if batch.is_gap:
            for known in self:
                known.forget()
        for change in batch.changes:
            entry = change["fullDocument"]
            if entry["action"] == Action.CONVERSATION_SHARE:
                self._note_grant(entry["details"])
                continue
            of_user = self._users.get(entry.get("owner_id") or entry.get("user_id"))
            if of_user is not None:
                with suppress(InvalidId, TypeError):
                    of_user.stale.add(ObjectId(entry["resource_id"]))
        self._is_open.set()

    def _note_grant(self, details: Mapping[str, Any]) -> None:
        """Have the grants of those looked up who have a new one."""
        for each in details.get("grantees") or [details.get("grantee_id")]:
            if ObjectId.is_valid(each) and (known := self._users.get(ObjectId(each))) is not None:
                known.may_hold_grants = True
