"""Reading a conversation as it is now, through a link that follows it."""

from typing import Final

from chatvault.access import Access
from chatvault.conversations.links import Include
from chatvault.conversations.reading.pages import MessagePage, read_after, read_consistently
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.errors import NotFound
from chatvault.fields import Raw
from chatvault.links.errors import LinkNotFound
from chatvault.links.projection import project_conversation, project_message
from chatvault.links.snapshot import SharedContent

LENGTH: Final = 100


class LiveReader:
    """Reads what a live link shows.

    A page is named by the place of its first message plus one, so that it stays the same when
    others are added or removed.

    Args:
        link: the stored link.
        store: reads the conversation.
    """

    def __init__(self, link: Raw, store: MessageStore) -> None:
        self._conversation_id = link["conversation_id"]
        self._include = [Include(each) for each in link["include"]]
        self._store = store

    async def read(self, access: Access, no: int) -> SharedContent:
        """Return a page of the branch that is shown.

        Raises:
            LinkNotFound: the conversation was removed at this moment.
            Busy: it kept changing.
        """

        async def read_page(found: ConversationDoc) -> tuple[ConversationDoc, MessagePage]:
            return found, await read_after(access, self._store, found, no - 2, LENGTH)

        try:
            found, page = await read_consistently(
                access, self._store, self._conversation_id, read_page
            )
        except NotFound:
            raise LinkNotFound from None
        messages = [
            {"seq": stored.seq, **shown}
            for stored in page.messages
            if (shown := project_message(stored.message, self._include)) is not None
        ]
        following = page.messages[-1].seq + 2 if page.has_more else None
        shown_beside = project_conversation(found, self._include)
        return SharedContent(shown_beside, messages, page.total, following)
