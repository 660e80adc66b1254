"""Data that is inserted into the database directly, in the shape in which it would be stored."""

from datetime import timedelta

from chatvault.access import Access
from chatvault.accounts.models import User
from chatvault.actor import Actor, Door
from chatvault.conversations.models import Conversation
from chatvault.fields import now

BATCH = 1_000


async def insert_conversations(username: str, count: int) -> None:
    """Store empty conversations of a user, `Conversation 0` and so on; the last is the newest."""
    user = await User.find_one({"username": username})
    if user is None:
        raise LookupError(username)
    access = Access.of(Actor(door=Door.CLI, user_id=user.id, role=user.role))
    at = now() - timedelta(seconds=count)
    collection = Conversation.get_pymongo_collection()
    for start in range(0, count, BATCH):
        await collection.insert_many(
            Conversation.begin(
                access,
                title=f"Conversation {number}",
                tags=[],
                metadata={},
                at=at + timedelta(seconds=number),
            )
            for number in range(start, min(count, start + BATCH))
        )
