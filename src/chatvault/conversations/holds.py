"""Legal holds: conversations of which nothing may be deleted permanently."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from beanie import Document
from bson import ObjectId
from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.content import Content
from chatvault.errors import Conflict
from chatvault.fields import Id, Raw
from chatvault.owned import Owned

# The condition of the index of holds that are in force, which queries repeat.
IN_FORCE: Raw = {"is_open": True}


class UnderHold(Conflict):
    """A legal hold keeps this; nobody can delete it permanently before the hold is lifted."""

    code = "under_hold"


class Hold(Owned, Document):
    """A legal hold of all conversations of a user, or of one.

    Attributes:
        user_id: whose conversations are kept.
        conversation_id: the one that is kept; None for all of them.
        reason: the auditor's note, such as the number of a case.
        placed_by: the auditor; None at the command line.
        lifted_at: when it was lifted; what was kept because of it is deleted then.
        is_open: whether it is in force, or what it kept is not deleted yet.
    """

    user_id: Id
    conversation_id: Id | None = None
    reason: str
    placed_by: Id | None = None
    placed_at: datetime
    lifted_at: datetime | None = None
    is_open: bool = True

    holds: ClassVar = Content(words=("reason",))

    class Settings:
        """Beanie's."""

        name = "holds"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("placed_at", -1), ("_id", -1)], name="of_user"),
            IndexModel(
                [("user_id", 1)], partialFilterExpression={"is_open": True}, name="open_of_user"
            ),
            IndexModel(
                [("lifted_at", 1)],
                partialFilterExpression={"is_open": True, "lifted_at": {"$type": "date"}},
                name="lifted",
            ),
        ]


@dataclass(frozen=True, slots=True)
class Holds:
    """The holds of one user's conversations that are in force.

    Attributes:
        whole: whether all conversations are kept.
        ids: of those that are kept by holds of their own.
    """

    whole: bool = False
    ids: frozenset[ObjectId] = frozenset()

    @classmethod
    async def of(cls, access: Access, session: AsyncClientSession | None = None) -> Self:
        """Return the holds of an owner's conversations."""
        query = Hold.owned_by(access, lifted_at=None, **IN_FORCE)
        wanted = {"conversation_id": True}
        found = Hold.get_pymongo_collection().find(query, wanted, session=session)
        kept = [each["conversation_id"] async for each in found]
        return cls(None in kept, frozenset(each for each in kept if each is not None))

    def cover(self, conversation_id: ObjectId) -> bool:
        """Whether a conversation is kept."""
        return self.whole or conversation_id in self.ids

    def covered(self, ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the conversations that are kept."""
        return {each for each in ids if self.cover(each)}


NO_HOLDS = Holds()
