"""Write many messages in bounded batches that one small transaction makes visible."""

from collections.abc import Sequence

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.commits.segment_writes import GRACE
from chatvault.conversations.segments import (
    Generation,
    PendingDeletion,
    Segment,
    cut,
    size_of,
    split_tail,
)
from chatvault.conversations.shapes import MessageDoc, SegmentDoc
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import Link, links_within
from chatvault.fields import now
from chatvault.slices import in_slices, sliced

# Up to this size a change carries its messages; beyond, they are written before it.
CARRIED_LENGTH = 1000
CARRIED_BYTES = 4 * 1024 * 1024
BATCH_BYTES = 4 * 1024 * 1024


async def write_generation(
    access: Access,
    store: MessageStore,
    messages: list[MessageDoc],
    links: Sequence[Link] = (),
) -> tuple[Generation | None, list[MessageDoc]]:
    """Store the messages as a generation that no conversation refers to yet.

    Args:
        access: to their owner's data.
        store: encodes the messages.
        messages: in order.
        links: of those whose parent is not the message before, in order.

    Returns:
        The generation, or None if the messages are few, and the newest messages, which are to be
        embedded.
    """
    older, tail = split_tail(messages)
    sizes = await in_slices(size_of, messages)
    is_bulky = len(messages) > CARRIED_LENGTH or sum(sizes) > CARRIED_BYTES
    if not older or not is_bulky:
        return None, messages
    generation = Generation(
        id=ObjectId(),
        intent_id=ObjectId(),
        length=len(older),
        bytes=sum(sizes[: len(older)]),
        last_message_at=older[-1]["timestamp"],
        links=tuple(links_within(links, 0, len(older))),
    )
    run = cut(
        older, owner_id=access.owner_id, generation=generation.id, codec=store.codec, links=links
    )
    await store.fetch_to_write(access.owner_id)
    # Encoded before the pending deletion is stored, as there must be no pause after it.
    segments = [segment async for segment in sliced(run)]
    await PendingDeletion.get_pymongo_collection().insert_one(
        PendingDeletion.owned_by(
            access,
            _id=generation.intent_id,
            generation=generation.id,
            conversation_id=None,
            due_at=now() + GRACE,
            swept=False,
        )
    )
    batch: list[SegmentDoc] = []
    batch_bytes = 0
    for segment in segments:
        batch.append(segment)
        batch_bytes += segment["bytes"]
        if batch_bytes >= BATCH_BYTES:
            await Segment.get_pymongo_collection().insert_many(batch)
            batch, batch_bytes = [], 0
    if batch:
        await Segment.get_pymongo_collection().insert_many(batch)
    return generation, tail
