"""Inserting tokens that users used, as replies would store them."""

from datetime import timedelta
from typing import Any

from chatvault.accounts.models import User
from chatvault.actor import Actor, Door
from chatvault.fields import now
from chatvault.usage.models import Usage


async def insert_usage(username: str, tokens: tuple[int, int], *, days_ago: int = 0) -> Any:
    """Store one request to a model; return the user's id."""
    user = await User.find_one({"username": username})
    if user is None:
        raise LookupError(username)
    actor = Actor(door=Door.CLI, user_id=user.id, role=user.role)
    used = Usage.of(
        actor,
        tokens=tokens,
        at=now() - timedelta(days=days_ago),
        conversation_id=None,
        agent_id=None,
        purpose="reply",
        provider="fake",
        model="fjord-1",
        counted_here=False,
    )
    await Usage.get_pymongo_collection().insert_one(used)
    return user.id
