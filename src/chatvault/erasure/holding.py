"""Legal holds, which forbid an erasure."""

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.conversations.holds import Holds


async def erasable(user_id: ObjectId) -> bool:
    """Whether no hold keeps conversations of this user."""
    holds = await Holds.of(Access.of(Actor(door=Door.BACKGROUND, user_id=user_id)))
    return not holds.whole and not holds.ids
