"""The owner of the data that an operation works on, and what it may do with it.

`actor` says who acts: in the audit log, in idempotency records, in what is used up. An `Access`
says whose data is read and written. Today the two are the same person.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from bson import ObjectId

from chatvault.actor import Actor


class Need(IntEnum):
    """The levels of access that operations need; each includes those before it."""

    READ = 1
    COMMENT = 2
    WRITE = 3
    MANAGE = 4


@dataclass(frozen=True, slots=True)
class Access:
    """The right to work on somebody's data; each query about it starts from `owned_by(access)`.

    Attributes:
        owner_id: whose data it is.
        role: the most that may be done with it.
    """

    owner_id: ObjectId
    role: Need

    @classmethod
    def of(cls, actor: Actor) -> Self:
        """Return the access to the actor's own data.

        Raises:
            NotAuthenticated: nobody is signed in.
        """
        return cls(actor.owner_id, Need.MANAGE)


async def resolve(actor: Actor, conversation_id: ObjectId, need: Need) -> Access:  # noqa: ARG001  # a grant is for one conversation, and for so much
    """Return the access with which a conversation is to be asked for, without a query.

    It is the one to the actor's own data, so that a conversation of somebody else's is not found.

    Raises:
        NotAuthenticated: nobody is signed in.
    """
    return Access.of(actor)
