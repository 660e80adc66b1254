"""Read the tree of all messages of a conversation, and the ids of messages by place."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.conversations.reading.paths import MOST_GAP, is_branched
from chatvault.conversations.segments import Segment, is_deleted
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import ROOT, Link, Tree, to_links
from chatvault.fields import Raw

# A tree of more links and deleted messages is built in a thread; one of a million takes a second.
MANY = 10_000
# Others are served between two batches of segments.
BATCH = 100


async def read_tree(
    access: Access, conversation: ConversationDoc, session: AsyncClientSession | None = None
) -> Tree:
    """Return the tree of a conversation whose document was read with its embedded messages.

    Of the segments only those with links or with deleted messages are fetched.
    """
    first = conversation["first_seq"]
    end = conversation["tail_seq"] - first
    path = conversation.get("path")
    links = [link async for link in _links(access, conversation, session) if link.place < end]
    links += to_links(path["links"]) if path else []
    deleted = [place async for place in _deleted(access, conversation, session) if place < end]
    deleted += [
        place for place, message in enumerate(conversation["messages"], end) if is_deleted(message)
    ]
    length = conversation["next_seq"] - first
    if len(links) + len(deleted) < MANY:
        return Tree(length, links, deleted)
    return await asyncio.to_thread(Tree, length, links, deleted)


async def _links(
    access: Access, conversation: ConversationDoc, session: AsyncClientSession | None
) -> AsyncIterator[Link]:
    if not is_branched(conversation):
        return
    query = Segment.owned_by(access, generation=conversation["generation"], links={"$exists": True})
    found = Segment.get_pymongo_collection().find(query, {"links": True}, session=session)
    async for segment in found.batch_size(BATCH):
        for link in to_links(segment["links"]):
            yield link


async def _deleted(
    access: Access, conversation: ConversationDoc, session: AsyncClientSession | None
) -> AsyncIterator[int]:
    if conversation["tail_seq"] == conversation["first_seq"]:
        return
    some_deleted: Raw = {"$expr": {"$lt": ["$living", "$length"]}}
    query = Segment.owned_by(access, generation=conversation["generation"], **some_deleted)
    # Only the deletion marks of the messages.
    gone = {"$map": {"input": "$messages", "in": {"$eq": ["$$this.deleted", True]}}}
    found = Segment.get_pymongo_collection().find(
        query, {"start": True, "gone": gone}, session=session
    )
    async for segment in found.batch_size(BATCH):
        for place, is_gone in enumerate(segment["gone"], segment["start"]):
            if is_gone:
                yield place


async def read_ids(
    access: Access, store: MessageStore, conversation: ConversationDoc, places: set[int]
) -> dict[int, str]:
    """Return the ids of messages by place, without places that moved meanwhile."""
    end = conversation["tail_seq"] - conversation["first_seq"]
    ids = {
        place: message["id"]
        for place, message in enumerate(conversation["messages"], end)
        if place in places
    }
    older = sorted(place for place in places if place < end)
    for first, last in _ranges(older):
        found = await store.list_ids_within(access, conversation["generation"], first, last + 1)
        ids |= {place: message_id for place, message_id in found.items() if place in places}
    return ids


def _ranges(places: list[int]) -> list[tuple[int, int]]:
    """Return ranges that contain the sorted places; near places share a range."""
    if not places:
        return []
    cuts = [(before, after) for before, after in pairwise(places) if after - before > MOST_GAP]
    starts = [places[0], *(after for _, after in cuts)]
    ends = [*(before for before, _ in cuts), places[-1]]
    return list(zip(starts, ends, strict=True))


async def add_parents(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    messages: list[StoredMessage],
) -> list[StoredMessage]:
    """Return messages of all branches, each with its `parent_id`."""
    first = conversation["first_seq"]
    known = {stored.seq - first: stored.message["id"] for stored in messages}
    unknown = {
        stored.seq - first - 1
        for stored in messages
        if "parent_id" not in stored.message and stored.seq - first - 1 not in known
    } - {ROOT}
    if unknown:
        known |= await read_ids(access, store, conversation, unknown)
    return [
        stored._replace(message={"parent_id": known.get(stored.seq - first - 1), **stored.message})
        for stored in messages
    ]
