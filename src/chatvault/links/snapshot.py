"""Writing a snapshot in sealed parts, and reading it, with one part in memory at a time."""

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import bson
from bson import ObjectId
from bson.codec_options import CodecOptions

from chatvault.access import Access
from chatvault.conversations.links import Include, LinkPart
from chatvault.conversations.reading.pages import stream
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import NotFound, TooLarge
from chatvault.fields import Raw, now
from chatvault.links.projection import project_conversation, project_message
from chatvault.links.token import place_of
from chatvault.vault.envelope import Compressor, DataKey

# The messages of a part, which is also a page.
PART_LENGTH: Final = 100
PART_BYTES: Final = 512 * 1024
# The limits of a link: all parts are removed in one transaction.
MAX_MESSAGES: Final = 50_000
MAX_BYTES: Final = 64 * 1024 * 1024
# The time within which a link is stored after the first of its parts.
GRACE: Final = timedelta(hours=1)
_AWARE: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)


class LinkTooLong(TooLarge):
    """The conversation is too long for a link; share it up to an earlier message."""

    code = "link_too_long"


class SnapshotWriter:
    """Writes the parts of one snapshot.

    Args:
        access: to the owner's data.
        link_id: the link's id.
        conversation_id: the conversation's id.
        key: seals the parts.
        include: the content to show beside what was said.

    Attributes:
        parts: the number of parts with messages so far.
        messages: the number of messages so far.
        size: of the stored parts, in bytes.
    """

    def __init__(
        self,
        access: Access,
        link_id: ObjectId,
        conversation_id: ObjectId,
        *,
        key: DataKey,
        include: Collection[Include],
    ) -> None:
        self._access = access
        self._link_id = link_id
        self._conversation_id = conversation_id
        self._key = key
        self._include = include
        self._compressor = Compressor()
        self._waiting: list[Raw] = []
        self._waiting_bytes = self._plain_bytes = 0
        self.parts = self.messages = self.size = 0

    async def write(
        self, store: MessageStore, conversation: ConversationDoc, up_to: str | None
    ) -> None:
        """Write the conversation as it is now, up to a message.

        Raises:
            NotFound: there is no such message on the branch that is shown.
            LinkTooLong: there are too many messages.
            Busy: the messages were replaced meanwhile.
        """
        await self._store(0, project_conversation(conversation, self._include))
        runs = stream(self._access, store, conversation)
        async with contextlib.aclosing(runs) as reading:
            async for run in reading:
                if await self._take(run, up_to):
                    break
            else:
                if up_to is not None:
                    raise NotFound("Message not found")
        await self._flush()

    async def _take(self, run: Sequence[StoredMessage], up_to: str | None) -> bool:
        """Take the messages of a run; return whether the last one that is wanted was among them."""
        for stored in run:
            shown = project_message(stored.message, self._include)
            if shown is not None:
                await self._add(shown)
            if stored.message["id"] == up_to:
                return True
        return False

    async def _add(self, shown: Raw) -> None:
        size = len(bson.encode(shown))
        self._plain_bytes += size
        if self.messages >= MAX_MESSAGES or self._plain_bytes > MAX_BYTES:
            raise LinkTooLong
        if self._waiting and (
            len(self._waiting) >= PART_LENGTH or self._waiting_bytes + size > PART_BYTES
        ):
            await self._flush()
        self._waiting.append({"seq": self.messages, **shown})
        self._waiting_bytes += size
        self.messages += 1

    async def _flush(self) -> None:
        if self._waiting:
            self.parts += 1
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            await self._store(self.parts, {"messages": waiting})

    async def _store(self, no: int, content: Raw) -> None:
        sealed = await asyncio.to_thread(self._seal, no, content)
        self.size += len(sealed)
        await LinkPart.get_pymongo_collection().insert_one(
            LinkPart.owned_by(
                self._access,
                self._conversation_id,
                link_id=self._link_id,
                no=no,
                c=sealed,
                expires_at=now() + GRACE,
            )
        )

    def _seal(self, no: int, content: Raw) -> bytes:
        place = place_of(self._link_id, no)
        return self._key.seal(bson.encode(content), place, self._compressor)

    async def keep_until(self, at: datetime) -> None:
        """Keep the parts until the link expires; it is about to be stored."""
        its = LinkPart.owned_by(self._access, self._conversation_id, link_id=self._link_id)
        await LinkPart.get_pymongo_collection().update_many(its, {"$set": {"expires_at": at}})

    async def discard(self) -> None:
        """Remove the parts, as no link is stored for them."""
        its = LinkPart.owned_by(self._access, self._conversation_id, link_id=self._link_id)
        await LinkPart.get_pymongo_collection().delete_many(its)


@dataclass(frozen=True, slots=True)
class SharedContent:
    """A page of what a link shows.

    Attributes:
        conversation: what the conversation shows beside its messages.
        messages: those of the page.
        total: the number of messages of all pages.
        next: the next page; None on the last.
    """

    conversation: Raw
    messages: list[Raw]
    total: int
    next: int | None


class SnapshotReader:
    """Opens the parts of a link.

    Args:
        link: the stored link.
        key: of its token.
    """

    def __init__(self, link: Raw, key: DataKey) -> None:
        self._link = link
        self._key = key
        self._compressor = Compressor()

    async def read(self, access: Access, no: int) -> SharedContent:
        """Return a part, which has no messages beyond the last one.

        Raises:
            NotFound: the link was removed at this moment.
        """
        query = LinkPart.owned_by(
            access,
            self._link["conversation_id"],
            link_id=self._link["_id"],
            no={"$in": [0, no]},
        )
        found = await LinkPart.get_pymongo_collection().find(query).sort("no", 1).to_list()
        if len(found) != 1 + (no <= self._link["parts"]):
            raise NotFound("Link not found")
        opened = await asyncio.to_thread(lambda: [self._open(each) for each in found])
        following = no + 1 if no < self._link["parts"] else None
        messages = opened[1]["messages"] if len(opened) > 1 else []
        return SharedContent(opened[0], messages, self._link["messages"], following)

    def _open(self, part: Raw) -> Raw:
        place = place_of(self._link["_id"], part["no"])
        plain = self._key.open(bytes(part["c"]), place, self._compressor)
        return bson.decode(plain, _AWARE)
