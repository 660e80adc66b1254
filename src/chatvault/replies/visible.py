"""Reading back past hidden messages, which imports may have many of."""

from typing import Final

from chatvault.access import Access
from chatvault.conversations.models import MessageRole
from chatvault.conversations.reading.pages import read_before
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore

LATEST: Final = 2**53
PAGE: Final = 50
# The most pages that are read back.
MOST_PAGES: Final = 20


def is_hidden(stored: StoredMessage) -> bool:
    """Return whether people and models do not get to see the message."""
    return bool(stored.message.get("hidden"))


async def read_visible(
    access: Access, store: MessageStore, conversation: ConversationDoc, before: int, limit: int
) -> list[StoredMessage]:
    """Return the newest messages before a place, oldest first; hidden ones do not count.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    found: list[StoredMessage] = []
    missing, most = limit, limit
    for _ in range(MOST_PAGES):
        page = await read_before(access, store, conversation, before, most)
        for stored in reversed(page.messages):
            missing -= not is_hidden(stored)
            found.append(stored)
            if not missing:
                break
        if not missing or not page.has_more:
            break
        before, most = page.messages[0].seq, max(missing, PAGE)
    return found[::-1]


async def read_last_turn(
    access: Access, store: MessageStore, conversation: ConversationDoc
) -> list[StoredMessage]:
    """Return the last user message that is shown, and all after it; nothing where there is none.

    Raises:
        ReadConflict: the conversation changed since its document was read.
    """
    found: list[StoredMessage] = []
    before = LATEST
    for _ in range(MOST_PAGES):
        page = await read_before(access, store, conversation, before, PAGE)
        for stored in reversed(page.messages):
            found.append(stored)
            if stored.message["role"] == MessageRole.USER and not is_hidden(stored):
                return found[::-1]
        if not page.has_more:
            break
        before = page.messages[0].seq
    return []
