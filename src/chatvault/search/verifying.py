"""Reading candidates again by their owner, and keeping those that fit what is stored now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self, cast

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.models import Status
from chatvault.conversations.reading.ranges import read_at
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.conversations.store import MessageStore
from chatvault.search import snippets
from chatvault.search.index import Candidate
from chatvault.search.ranking import TITLE_SEQ
from chatvault.search.states import to_milliseconds
from chatvault.search.terms import Query, Words

FIELDS = ("title", "tags", "status", "agent_id", "category_id", "updated_at", "last_message_at")
# The characters of a longer message are not kept until the answer is made.
LONG: Final = 16 * 1024
# The conversation's id, as text, and the place in it.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The words to search for, and where.

    Attributes:
        query: the words.
        agents: of the conversation's agent; the built-in one is stored as None; None for all.
        categories: of the conversation's category; None for all.
        since: the earliest time of a message, in milliseconds.
        until: the time after the last one.
    """

    query: Query
    role: str | None = None
    agents: tuple[ObjectId | None, ...] | None = None
    tag: str | None = None
    status: Status | None = None
    categories: tuple[ObjectId, ...] | None = None
    since: int | None = None
    until: int | None = None
    conversation_id: ObjectId | None = None

    def allows(
        self,
        *,
        tags: Iterable[str],
        status: str,
        agent_id: ObjectId | None,
        category_id: ObjectId | None,
    ) -> bool:
        """Whether a conversation is one of those that are searched."""
        return (
            (self.tag is None or self.tag in tags)
            and (self.status is None or status == self.status)
            and (self.agents is None or agent_id in self.agents)
            and (self.categories is None or category_id in self.categories)
        )

    @property
    def has_conversation_filter(self) -> bool:
        """Whether only some conversations are searched."""
        asked = (self.agents, self.tag, self.status, self.categories, self.conversation_id)
        return self.query.asks_titles or any(each is not None for each in asked)


@dataclass(frozen=True, slots=True)
class Verified:
    """A candidate that fits.

    Attributes:
        conversation: some fields of it.
        message: without the content of a long one; None for a title.
        excerpt: of a long message.
    """

    conversation: ConversationDoc
    message: MessageDoc | None = None
    excerpt: Sequence[snippets.Piece] | None = None

    @classmethod
    def of(cls, conversation: ConversationDoc, message: MessageDoc, query: Query) -> Self:
        """Return a message that fits, with as much of it as an answer needs."""
        content = message["content"]
        shown = ("id", "role", "timestamp", *(("content",) if len(content) <= LONG else ()))
        kept = cast("MessageDoc", {name: message.get(name) for name in shown})
        return cls(
            conversation, kept, snippets.cut(content, query) if len(content) > LONG else None
        )

    def snippet(self, query: Query) -> Sequence[snippets.Piece]:
        """Return the part of the message with the words of a query."""
        if self.excerpt is not None or self.message is None:
            return self.excerpt or ()
        return snippets.cut(self.message["content"], query)


async def verify(
    access: Access, store: MessageStore, wanted: Wanted, candidates: Iterable[Candidate]
) -> dict[Place, Verified]:
    """Return those candidates that fit what is stored now, by place."""
    places: dict[ObjectId, list[int]] = {}
    for each in candidates:
        places.setdefault(ObjectId(each.conversation), []).append(each.seq)
    verified: dict[Place, Verified] = {}
    for conversation, messages in await read_at(access, store, places, FIELDS):
        key, title = str(conversation["_id"]), Words.of(conversation["title"])
        if not wanted.query.matches_title(title) or not wanted.allows(
            tags=conversation["tags"],
            status=conversation["status"],
            agent_id=conversation.get("agent_id"),
            category_id=conversation.get("category_id"),
        ):
            continue
        if TITLE_SEQ in places[conversation["_id"]] and wanted.query.matches(title):
            verified[key, TITLE_SEQ] = Verified(conversation)
        for seq, message, _ in messages:
            if _fits(message, wanted):
                verified[key, seq] = Verified.of(conversation, message, wanted.query)
    return verified


def _fits(message: MessageDoc, wanted: Wanted) -> bool:
    content = message.get("content")
    if not content or message.get("hidden"):
        return False
    if wanted.role is not None and message.get("role") != wanted.role:
        return False
    if wanted.since is not None or wanted.until is not None:
        at: datetime | None = message.get("timestamp")
        moment = 0 if at is None else to_milliseconds(at)
        if moment < (wanted.since or moment) or moment >= (wanted.until or moment + 1):
            return False
    return wanted.query.matches(Words.of(content))
