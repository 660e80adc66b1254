"""Converting stored content to the form in which new content is stored, sealed or readable.

It runs beside the service, and nobody notices it: no version rises, and what was changed in the
meantime is read again. It can be interrupted and repeated: nothing is converted a second time.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

from beanie import Document
from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.codec import WORDS, MessageUnreadable, SegmentKey
from chatvault.conversations.models import Conversation
from chatvault.conversations.segments import Revision, Segment
from chatvault.conversations.shapes import ConversationDoc, SegmentDoc
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy
from chatvault.fields import Raw
from chatvault.vault.collections import SealedCollection
from chatvault.vault.fields import ContentUnreadable

PASSES: Final = 20
_IS_TEXT: Final = {"$type": "string", "$ne": ""}
# What finds documents with something that is stored readably, and with something that is sealed.
READABLE: Final[dict[type[Document], Raw]] = {
    Conversation: {
        "$or": [
            *({name: _IS_TEXT} for name in ("title", "summary", "system_prompt")),
            {"metadata": {"$type": "object", "$ne": {}}},
            {"messages": {"$elemMatch": {"c": None, "deleted": None}}},
        ]
    },
    Segment: {"messages": {"$elemMatch": {"role": {"$exists": True}, "c": None}}},
    Revision: {"message.c": None},
}
SEALED: Final[dict[type[Document], Raw]] = {
    Conversation: {
        "$or": [*({name: {"$type": "binData"}} for name in WORDS), {"messages.c": {"$ne": None}}]
    },
    Segment: {"$or": [{"runs.0": {"$exists": True}}, {"messages.c": {"$ne": None}}]},
    Revision: {"message.c": {"$ne": None}},
}
OnProgress = Callable[["Progress"], None]


@dataclass(slots=True)
class Progress:
    """The progress of a conversion.

    Attributes:
        users: how many users have content.
        done: how many of them were converted.
        documents: how many documents were rewritten.
        unreadable: the ids of documents with something that does not open, which stays as it is.
        left: how many documents changed each time they were to be converted.
    """

    users: int = 0
    done: int = 0
    documents: int = 0
    unreadable: set[ObjectId] = field(default_factory=set)
    left: int = 0


class Converter:
    """Converts the content of all users.

    Args:
        store: decodes what is stored, and encodes it as its codec does with new content.
        on_progress: called after each user.
        others: the collections without a codec of their own.
    """

    def __init__(
        self,
        store: MessageStore,
        on_progress: OnProgress | None = None,
        *,
        others: Sequence[SealedCollection] = (),
    ) -> None:
        self._store = store
        self._codec = store.codec
        self._wanted = READABLE if store.codec.seals else SEALED
        self._on_progress = on_progress
        self._others = others
        self.progress = Progress()

    async def run(self, actor: Actor, recorder: Recorder) -> Progress:
        """Convert everything; record the beginning and the end.

        Raises:
            Busy: a conversation kept changing.
        """
        sealing = self._codec.seals
        details: Raw = {"to": "sealed" if sealing else "readable", "ended": False}
        await recorder.record(audit.entry(actor, Action.VAULT_CONVERT, details=details))
        progress = self.progress
        users = await _list_users(self._others)
        progress.users = len(users)
        for user_id in users:
            await self._codec.fetch([user_id], to_write=True)
            for document, which in self._wanted.items():
                encode = partial(_ENCODERS[document], self._store)
                await self._convert(document.get_pymongo_collection(), user_id, which, encode)
            for sealed in self._others:
                which = sealed.fields.which(is_sealed=not self._codec.seals)
                await self._convert(sealed.plain, user_id, which, sealed.convert)
            progress.done += 1
            if self._on_progress:
                self._on_progress(progress)
        counts = {
            "ended": True,
            "documents": progress.documents,
            "unreadable": len(progress.unreadable),
        }
        await recorder.record(audit.entry(actor, Action.VAULT_CONVERT, details=details | counts))
        return progress

    async def _convert(
        self,
        collection: AsyncCollection[Raw],
        user_id: ObjectId,
        which: Raw,
        encode: Callable[[Raw], Awaitable[tuple[Raw, Raw]]],
    ) -> None:
        """Convert one user's documents of a collection, until none is left.

        Args:
            collection: the driver's.
            user_id: whose documents.
            which: finds those that have anything to convert.
            encode: returns what a document must still have, and its changes.
        """
        for _ in range(PASSES):
            skipped = {"$nin": [*self.progress.unreadable]}
            found = collection.find({"user_id": user_id, "_id": skipped, **which}, batch_size=50)
            is_missed = False
            async for stored in found:
                try:
                    seen, changes = await encode(stored)
                except (MessageUnreadable, ContentUnreadable):
                    self.progress.unreadable.add(stored["_id"])
                    continue
                mine = {"_id": stored["_id"], "user_id": user_id, **seen}
                result = await collection.update_one(mine, changes)
                self.progress.documents += result.modified_count
                is_missed |= not result.matched_count
                if result.matched_count and _is_unreadable(stored):
                    self.progress.unreadable.add(stored["_id"])
            if not is_missed:
                return
        raise Busy(retry_after=1)


async def count_sealed(others: Sequence[SealedCollection]) -> int:
    """Return how many documents have something that is sealed."""
    wanted = [(each.get_pymongo_collection(), which) for each, which in SEALED.items()]
    wanted += [(each.plain, each.fields.which(is_sealed=True)) for each in others]
    return sum([await collection.count_documents(which) for collection, which in wanted])


async def _list_users(others: Sequence[SealedCollection]) -> list[ObjectId]:
    """Return the ids of all users with content, those of accounts that are gone included."""
    found: set[ObjectId] = set()
    for collection in (*(each.get_pymongo_collection() for each in READABLE), *others):
        cursor = await collection.aggregate([{"$group": {"_id": "$user_id"}}])
        found |= {each["_id"] async for each in cursor}
    return sorted(found)


async def _encode_conversation(store: MessageStore, stored: Raw) -> tuple[Raw, Raw]:
    seen = {name: stored[name] for name in ("version", "tail_seq", "generation")}
    document = cast("ConversationDoc", stored)
    embedded = [*stored["messages"]]
    before = {name: stored[name] for name in WORDS if name in stored}
    await store.open_conversations([document], aware=True)
    codec = store.codec
    encoded = codec.encode_tail(document, document["messages"])
    if codec.seals:
        pairs = zip(embedded, encoded, strict=True)
        encoded = [old if "c" in old else new for old, new in pairs]
    words = {
        name: value
        for name, value in before.items()
        if isinstance(value, bytes) is not codec.seals and name not in stored.get("damaged", ())
    }
    changed = codec.encode_fields(document, {name: stored[name] for name in words})
    stored["messages"] = document["messages"]
    return seen, {"$set": {**changed, "messages": encoded}}


async def _encode_segment(store: MessageStore, stored: Raw) -> tuple[Raw, Raw]:
    seen = {
        "generation": stored["generation"],
        "version": stored.get("version"),
        "length": stored["length"],
    }
    segment = cast("SegmentDoc", stored)
    await store.open_segments([segment], aware=True)
    key = SegmentKey(stored["user_id"], stored["generation"], stored["_id"])
    encoded = store.codec.encode_segment(key, segment["messages"])
    changes: Raw = {"$set": {"messages": encoded.messages}}
    if encoded.runs:
        changes["$set"]["runs"] = encoded.runs
    else:
        changes["$unset"] = {"runs": ""}
    return seen, changes


async def _encode_revision(store: MessageStore, stored: Raw) -> tuple[Raw, Raw]:
    await store.open_revisions([stored])
    if stored["message"].get("unreadable"):
        raise MessageUnreadable
    return {}, {"$set": {"message": store.codec.encode_revision(stored)["message"]}}


def _is_unreadable(stored: Raw) -> bool:
    messages: list[Any] = stored.get("messages", [])
    return bool(stored.get("damaged")) or any(each.get("unreadable") for each in messages)


_ENCODERS: Final[
    dict[type[Document], Callable[[MessageStore, Raw], Awaitable[tuple[Raw, Raw]]]]
] = {
    Conversation: _encode_conversation,
    Segment: _encode_segment,
    Revision: _encode_revision,
}
