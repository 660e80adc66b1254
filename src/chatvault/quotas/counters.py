"""The names of the counters of limits."""

from chatvault.actor import Actor
from chatvault.limits import OperationClass

MESSAGES = "messages"


def counter_of_user(actor: Actor, counts: OperationClass | str) -> str:
    """Return the name of the counter of a user's requests of a class, or of messages."""
    return f"user/{actor.owner_id}/{counts}"


def counter_of_key(actor: Actor, counts: OperationClass | str) -> str:
    """Return the name of the counter of the API key that the actor uses."""
    return f"key/{actor.key_id}/{counts}"
