"""Whether a message is in a conversation, as it is in a transaction."""

from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.conversations.models import Conversation
from chatvault.conversations.segments import Segment
from chatvault.conversations.shapes import ConversationDoc


async def has_message(
    session: AsyncClientSession,
    access: Access,
    conversation: ConversationDoc,
    message_id: str,
) -> bool:
    """Whether a message is in the conversation and not deleted, read in a transaction."""
    is_it = {"$elemMatch": {"id": message_id, "deleted": {"$ne": True}}}
    embedded = Conversation.owned_by(access, _id=conversation["_id"], messages=is_it)
    if await Conversation.get_pymongo_collection().count_documents(embedded, session=session):
        return True
    older = Segment.owned_by(access, generation=conversation["generation"], messages=is_it)
    return bool(await Segment.get_pymongo_collection().count_documents(older, session=session))
