"""Find the messages of a time by bisection, as their times rise with their places."""

from datetime import UTC, datetime

from chatvault.access import Access
from chatvault.conversations.reading.pages import MessagePage, read_after
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore

# Messages that each step reads: about a segment, which is read whole in any case.
STEP = 100
FIRST = datetime.min.replace(tzinfo=UTC)


async def read_since(
    access: Access, store: MessageStore, conversation: ConversationDoc, since: datetime, limit: int
) -> MessagePage:
    """Return `limit` messages not deleted, from the first that is not older than `since`.

    Where clients gave times that do not rise, it is one after which some time is not older.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    low, high = conversation["first_seq"], conversation["next_seq"]
    while low < high:
        middle = max(low, (low + high - STEP) // 2)
        page = await read_after(access, store, conversation, middle - 1, STEP)
        messages = [each for each in page.messages if each.seq < high]
        found = next((each for each in messages if _time_of(each) >= since), None)
        if found is None and messages:
            low = messages[-1].seq + 1
        elif found is None or found is messages[0]:
            high = middle
        else:
            low = high = found.seq
    return await read_after(access, store, conversation, low - 1, limit)


def _time_of(stored: StoredMessage) -> datetime:
    at = stored.message.get("timestamp", FIRST)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
