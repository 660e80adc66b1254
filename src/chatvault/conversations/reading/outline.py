"""Reading messages around a place, and the outline of a conversation: what the user asked where."""

from dataclasses import dataclass, replace
from datetime import datetime

from chatvault.access import Access
from chatvault.conversations.models import MessageRole
from chatvault.conversations.reading.pages import MessagePage, read_after, read_before
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore

# The most messages that an outline's page reads, and the number it reads at a time.
MOST_READ = 2_000
AT_ONCE = 250
# The characters of a message that its outline shows at most.
FIRST_WORDS = 120


async def read_around(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    around: int,
    limit: int,
    *,
    whole: bool = False,
) -> MessagePage:
    """Return `limit` messages not deleted with a place in their middle, as far as there are any.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    half = limit // 2
    if half == 0:
        return await read_after(access, store, conversation, around - 1, limit, whole=whole)
    earlier = await read_before(access, store, conversation, around, half, whole=whole)
    rest = limit - len(earlier.messages)
    later = await read_after(access, store, conversation, around - 1, rest, whole=whole)
    if earlier.has_more and len(later.messages) < rest:
        most = limit - len(later.messages)
        earlier = await read_before(access, store, conversation, around, most, whole=whole)
    return replace(later, messages=[*earlier.messages, *later.messages])


@dataclass(frozen=True, slots=True)
class Heading:
    """A message of the user's, with its first words."""

    id: str
    seq: int
    timestamp: datetime | None
    words: str


@dataclass(frozen=True, slots=True)
class Outline:
    """A part of a conversation's outline.

    Attributes:
        last_seq: the place up to which messages were looked at.
        has_more: whether there are messages after it.
    """

    headings: list[Heading]
    last_seq: int
    has_more: bool


async def read_outline(
    access: Access, store: MessageStore, conversation: ConversationDoc, after: int, limit: int
) -> Outline:
    """Return the user's messages of the branch that is shown, after a place; fewer of a long part.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    headings: list[Heading] = []
    for _ in range(MOST_READ // AT_ONCE):
        page = await read_after(access, store, conversation, after, AT_ONCE)
        for stored in page.messages:
            if len(headings) == limit:
                return Outline(headings, after, has_more=True)
            after = stored.seq
            if _is_heading(stored):
                headings.append(_heading(stored))
        if not page.has_more:
            return Outline(headings, after, has_more=False)
    return Outline(headings, after, has_more=True)


def _is_heading(stored: StoredMessage) -> bool:
    message = stored.message
    return message.get("role") == MessageRole.USER and not message.get("hidden")


def _heading(stored: StoredMessage) -> Heading:
    message = stored.message
    # Words that are separated by much white space may be fewer.
    words = " ".join(message.get("content", "")[: 4 * FIRST_WORDS].split())
    if len(words) > FIRST_WORDS:
        cut = words[: FIRST_WORDS - 1]
        words = (cut.rpartition(" ")[0] or cut) + "…"
    return Heading(message["id"], stored.seq, message.get("timestamp"), words)
