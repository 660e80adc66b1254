"""Legal holds, which forbid an erasure."""

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.holds import Holds


async def erasable(user_id: ObjectId, session: AsyncClientSession) -> bool:
    """Whether no hold keeps conversations of this user; read in the erasure's transaction."""
    access = Access.of(Actor(door=Door.BACKGROUND, user_id=user_id))
    holds = await Holds.of(access, session)
    return not holds.whole and not holds.ids
