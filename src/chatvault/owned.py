"""Documents that belong to one user.

A guest works on an owner's data, and has agents and preferences of their own: the two kinds ask for
different things, so that neither can be taken for the other.
"""

from typing import Any, ClassVar

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.fields import Raw


class Owned:
    """A document class whose documents belong to the owner of the data that is worked on.

    Attributes:
        owner_field: the field that names the owner.
    """

    owner_field: ClassVar = "user_id"

    @classmethod
    def owned_by(cls, access: Access, **more: Any) -> Raw:
        """Return the filter with which every query for an owner's documents begins."""
        return {cls.owner_field: access.owner_id, **more}


class Personal:
    """A document class whose documents belong to who acts."""

    @classmethod
    def owned_by(cls, actor: Actor, **more: Any) -> Raw:
        """Return the filter with which every query for an actor's documents begins."""
        return {"user_id": actor.owner_id, **more}
