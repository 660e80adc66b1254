"""Links to conversations: who made them, until when they work, and their sealed snapshots.

A link shows a snapshot of a conversation to whoever has its token, or the conversation as it is to
whoever has it and is signed in. The token is stored nowhere; the snapshot is sealed with a key
derived from it, so that the database alone opens nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from beanie import Document
from bson import ObjectId
from pymongo import DESCENDING, DeleteMany, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.accounts.models import User
from chatvault.content import Content
from chatvault.fields import Id, Raw
from chatvault.owned import Owned

# A link that has expired or was revoked stays in its owner's list for so long.
SHOWN_AFTER_EXPIRY = timedelta(days=30)


class LinkMode(StrEnum):
    """The content that a link shows: a snapshot to anybody, or the present to signed-in users."""

    SNAPSHOT = "snapshot"
    LIVE = "live"


class Include(StrEnum):
    """Content that a link shows only if its owner asks for it."""

    SYSTEM_PROMPT = "system_prompt"
    TOOL_RESULTS = "tool_results"
    THINKING = "thinking"
    METADATA = "metadata"


def in_force(at: datetime) -> Raw:
    """Return the condition of links that work at a time."""
    return {"expires_at": {"$gt": at}, "revoked_at": None}


class Link(Owned, Document):
    """One link to a conversation, without its content.

    Attributes:
        mode: live links have no snapshot.
        token_hash: SHA-256 of the token, which itself is stored nowhere.
        include: the content that it shows beside what was said.
        messages: the number of messages of the snapshot.
        parts: the number of parts with messages.
        size: of the stored parts, in bytes.
        expires_at: when it stops working, and when its snapshot is removed.
        password_hash: by bcrypt; None without a password.
        views: how often it was opened.
        revoked_at: when its owner revoked it, and its snapshot was removed.
    """

    user_id: Id
    conversation_id: Id
    mode: LinkMode = LinkMode.SNAPSHOT
    token_hash: bytes
    include: list[Include]
    messages: int
    parts: int
    size: int
    created_at: datetime
    expires_at: datetime
    password_hash: str | None = None
    views: int = 0
    last_viewed_at: datetime | None = None
    revoked_at: datetime | None = None

    # A backup would bring back links that were revoked since.
    holds: ClassVar = Content(plain=("password_hash",), backed_up=False)

    class Settings:
        """Beanie's."""

        name = "links"
        indexes: ClassVar = [
            IndexModel("token_hash", unique=True, name="token_unique"),
            IndexModel(
                [("user_id", 1), ("conversation_id", 1), ("created_at", DESCENDING)],
                name="of_conversation",
            ),
            IndexModel(
                "expires_at",
                expireAfterSeconds=int(SHOWN_AFTER_EXPIRY.total_seconds()),
                name="expiry",
            ),
        ]

    @classmethod
    async def find_by_hash(cls, token_hash: bytes, at: datetime) -> Raw | None:
        """Return the link with this hash if it works at that time, and its owner's account, too.

        It takes two queries in any case, so that the time tells nothing.
        """
        which = {"token_hash": token_hash, **in_force(at)}
        found = await cls.get_pymongo_collection().find_one(which)
        owner = {"_id": found["user_id"] if found else ObjectId(), "is_active": True}
        is_open = await User.get_pymongo_collection().find_one(owner, {"_id": True}) is not None
        return found if is_open else None

    @classmethod
    async def list_raw(cls, access: Access, limit: int, **more: Any) -> list[Raw]:
        """Return the owner's links, the newest first."""
        found = cls.get_pymongo_collection().find(cls.owned_by(access, **more))
        return await found.sort([("created_at", -1), ("_id", -1)]).limit(limit).to_list()

    @classmethod
    async def sum_open(cls, access: Access, at: datetime) -> tuple[int, int]:
        """Return how many of the owner's links work at a time, and their size in bytes."""
        pipeline: list[Raw] = [
            {"$match": cls.owned_by(access, **in_force(at))},
            {"$group": {"_id": None, "links": {"$sum": 1}, "size": {"$sum": "$size"}}},
        ]
        found = await cls.get_pymongo_collection().aggregate(pipeline)
        sums = await found.to_list()
        return (sums[0]["links"], sums[0]["size"]) if sums else (0, 0)


class LinkPart(Document):
    """A part of a snapshot, sealed with a key that only the link's token gives.

    Attributes:
        no: its number; 0 has the title and what else the conversation shows, others have messages.
        c: the sealed content.
        expires_at: when MongoDB removes it; soon, until its link is stored.
    """

    user_id: Id
    conversation_id: Id
    link_id: Id
    no: int
    c: Any
    expires_at: datetime

    holds: ClassVar = Content(words=("c",), backed_up=False, has_codec=True)

    class Settings:
        """Beanie's."""

        name = "link_parts"
        indexes: ClassVar = [
            IndexModel(
                [("user_id", 1), ("conversation_id", 1), ("link_id", 1), ("no", 1)],
                unique=True,
                name="part_unique",
            ),
            IndexModel("expires_at", expireAfterSeconds=0, name="expiry"),
        ]

    @classmethod
    def owned_by(cls, access: Access, conversation_id: ObjectId, **more: Any) -> Raw:
        """Return the filter with which every query for parts of a conversation's links begins."""
        return {"user_id": access.owner_id, "conversation_id": conversation_id, **more}


def removal_of(
    access: Access, conversation_id: ObjectId
) -> Sequence[tuple[type[Document], DeleteMany]]:
    """Return the writes that remove all links to a conversation, with their snapshots."""
    its = {"conversation_id": conversation_id}
    return (
        (Link, DeleteMany(Link.owned_by(access, **its))),
        (LinkPart, DeleteMany(LinkPart.owned_by(access, **its))),
    )


async def end_links(access: Access, session: AsyncClientSession) -> int:
    """Remove all links of an account that is closed; return how many.

    Nothing opens their snapshots from then on; erasure removes these.
    """
    links = Link.get_pymongo_collection()
    return (await links.delete_many(Link.owned_by(access), session=session)).deleted_count
