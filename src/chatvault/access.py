"""The owner of the data that an operation works on, and what it may do with it.

`actor` says who acts: in the audit log, in idempotency records, in what is used up. An `Access`
says whose data is read and written. The two are the same person, but for a `Guest`: somebody to
whom the owner granted one conversation.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Self

from bson import ObjectId

from chatvault.actor import Actor, Door
from chatvault.errors import Denied


class InsufficientGrant(Denied):
    """The conversation is shared with you, but not for this."""

    code = "insufficient_grant"


class AgentsNotGranted(Denied):
    """The conversation is shared with you, but not to ask agents in it at its owner's expense."""

    code = "agents_not_granted"


class Need(IntEnum):
    """The levels of access that operations need; each includes those before it."""

    READ = 1
    COMMENT = 2
    WRITE = 3
    ASK = 4
    MANAGE = 5


@dataclass(frozen=True, slots=True)
class Access:
    """The right to work on somebody's data; each query about it starts from `owned_by(access)`.

    Attributes:
        owner_id: whose data it is.
        role: the most that may be done with it.
        grantee_id: who works with it by a grant; None for the owner.
    """

    owner_id: ObjectId
    role: Need
    grantee_id: ObjectId | None = None

    @classmethod
    def of(cls, actor: Actor) -> Self:
        """Return the access to the actor's own data.

        Raises:
            NotAuthenticated: nobody is signed in.
        """
        return cls(actor.owner_id, Need.MANAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest(Actor):
    """An actor to whom the owner of one conversation granted it.

    Attributes:
        conversation_id: the one conversation; any other is asked for among the actor's own.
        access: to the data of its owner.
    """

    conversation_id: ObjectId
    access: Access

    @property
    def payer(self) -> Actor:
        """The owner, in whose name and at whose expense agents answer."""
        return Actor(door=Door.BACKGROUND, user_id=self.access.owner_id)

    @classmethod
    def of(cls, actor: Actor, conversation_id: ObjectId, access: Access) -> Self:
        """Return the same actor as a guest of a conversation."""
        known = {field.name: getattr(actor, field.name) for field in fields(Actor)}
        return cls(**known, conversation_id=conversation_id, access=access)


async def resolve(actor: Actor, conversation_id: ObjectId, need: Need) -> Access:
    """Return the access with which a conversation is to be asked for, without a query.

    It is the one to the actor's own data, so that a conversation of somebody else's is not found.
    The route then looks for a grant, and asks again for a `Guest`.

    Raises:
        NotAuthenticated: nobody is signed in.
        InsufficientGrant: the actor is the conversation's guest, and may not do this.
        AgentsNotGranted: the same, where an editor asks agents.
    """
    if isinstance(actor, Guest) and actor.conversation_id == conversation_id:
        refusal = refusal_of(actor.access.role, need)
        if refusal is not None:
            raise refusal
        return actor.access
    return Access.of(actor)


def refusal_of(role: Need, need: Need) -> InsufficientGrant | AgentsNotGranted | None:
    """Return the error of a guest with this role; None if it is enough."""
    if role >= need:
        return None
    return AgentsNotGranted() if (role, need) == (Need.WRITE, Need.ASK) else InsufficientGrant()
