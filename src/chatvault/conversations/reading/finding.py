"""Find messages by their ids."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.conversations.reading.consistency import has_segments, not_deleted
from chatvault.conversations.reading.pages import read_consistently
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, StoredMessage
from chatvault.conversations.store import MessageStore


async def find_messages(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    ids: Sequence[str],
    session: AsyncClientSession | None = None,
) -> list[StoredMessage]:
    """Return the messages with these ids, deleted or not, in the order of the ids.

    Args:
        access: to their owner's data.
        store: reads the messages.
        conversation: the conversation's document.
        ids: the messages' ids.
        session: of the transaction that the document was read in, if it was.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    wanted = set(ids)
    found = _pick(conversation["messages"], conversation["tail_seq"], wanted)
    missing = wanted - found.keys()
    if missing and has_segments(conversation):
        segments = store.walk_segments_with(
            access, conversation["generation"], sorted(missing), session
        )
        async for segment in segments:
            base = conversation["first_seq"] + segment["start"]
            found |= _pick(segment["messages"], base, missing)
    return [found[message_id] for message_id in ids if message_id in found]


def _pick(messages: list[MessageDoc], base: int, wanted: set[str]) -> dict[str, StoredMessage]:
    return {
        message["id"]: StoredMessage(seq, message)
        for seq, message in enumerate(messages, base)
        if message["id"] in wanted
    }


async def find_message(
    access: Access, store: MessageStore, conversation_id: ObjectId, message_id: str
) -> StoredMessage | None:
    """Find a message by its id; None if there is none or it is deleted.

    Raises:
        NotFound: the actor has no such conversation.
        Busy: it kept changing.
    """

    async def read(conversation: ConversationDoc) -> list[StoredMessage]:
        return not_deleted(await find_messages(access, store, conversation, [message_id]))

    return next(iter(await read_consistently(access, store, conversation_id, read)), None)
