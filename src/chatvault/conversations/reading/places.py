"""Reading messages by place for those who follow changes: many conversations in one query."""

from dataclasses import dataclass

from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from chatvault.access import Access
from chatvault.conversations.models import Conversation
from chatvault.conversations.newest import CONVERSATIONS
from chatvault.conversations.reading.consistency import not_deleted, number
from chatvault.conversations.reading.pages import read_after, read_consistently
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import ChatvaultError
from chatvault.mongodb.batching import Batcher

# At most this many newer messages may be there already.
LATER = 8
FIELDS = ("user_id", "generation", "first_seq", "tail_seq", "next_seq")


@dataclass(frozen=True, slots=True)
class Places:
    """Some places of a conversation.

    Attributes:
        version: the conversation's, to which a change of them led; None if it is not known.
    """

    access: Access
    conversation_id: ObjectId
    places: range
    version: int | None = None


class PlaceReader:
    """Reads the messages at some places, as they are now; the newest ones in one query.

    Args:
        store: decodes messages, and reads older ones.
    """

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._newest: Batcher[Places, list[StoredMessage] | None] = Batcher(
            self._find_newest, max_size=64, concurrency=2
        )

    async def read(self, wanted: Places) -> list[StoredMessage] | None:
        """Return the messages at these places that are not deleted; None if they cannot be read."""
        known = self._store.fresh.find(
            wanted.access.owner_id, wanted.conversation_id, wanted.version, wanted.places
        )
        if known is not None:
            return not_deleted(known)
        try:
            found = await self._newest.submit(wanted)
            if found is None:
                found = await self._read_older(wanted)
        except (PyMongoError, ChatvaultError):
            # Of a conversation that is gone, an entry follows; without the database, none does.
            return None
        return not_deleted(found)

    async def _read_older(self, wanted: Places) -> list[StoredMessage]:
        places = wanted.places

        async def read(conversation: ConversationDoc) -> list[StoredMessage]:
            page = await read_after(
                wanted.access,
                self._store,
                conversation,
                places.start - 1,
                len(places),
                whole=True,
            )
            return [each for each in page.messages if each.seq in places]

        return await read_consistently(wanted.access, self._store, wanted.conversation_id, read)

    async def _find_newest(self, wanted: list[Places]) -> list[list[StoredMessage] | None]:
        """Return the messages of each, or None where they are not among the newest."""
        most = max(len(each.places) for each in wanted) + LATER
        keys = {(each.access, each.conversation_id) for each in wanted}
        mine = [Conversation.owned_by(access, _id=each) for access, each in keys]
        shown = {**dict.fromkeys(FIELDS, 1), "messages": {"$slice": -most}}
        query = {"$or": mine} if mine[1:] else mine[0]
        conversations: AsyncCollection[ConversationDoc] = (
            Conversation.get_pymongo_collection().with_options(codec_options=CONVERSATIONS)
        )
        found = await conversations.find(query, shown).to_list()
        await self._store.open_conversations(found)
        newest = {(each["user_id"], each["_id"]): _number(each) for each in found}
        return [
            _pick(newest.get((each.access.owner_id, each.conversation_id)), each.places)
            for each in wanted
        ]


def _number(conversation: ConversationDoc) -> list[StoredMessage]:
    messages = conversation["messages"]
    return number(messages, conversation["next_seq"] - len(messages))


def _pick(newest: list[StoredMessage] | None, places: range) -> list[StoredMessage] | None:
    if not newest or newest[0].seq > places.start:
        return None
    return [each for each in newest if each.seq in places]
