"""Response schemas of a conversation's people."""

from typing import Literal

from pydantic import BaseModel

from chatvault.access import Need
from chatvault.conversations.grants import NEEDS
from chatvault.fields import Id
from chatvault.people.service import People

PersonRole = Literal["owner", "viewer", "commenter", "editor"]
ROLES: dict[Need, PersonRole] = {
    Need.MANAGE: "owner",
    **{need: role.value for role, need in NEEDS.items()},
    Need.ASK: "editor",
}


class PersonOut(BaseModel):
    """Somebody who has to do with a conversation.

    Attributes:
        role: null for who wrote in it and has no grant now.
    """

    user_id: Id
    username: str
    role: PersonRole | None


class PeopleOut(BaseModel):
    """The people of a conversation, its owner first.

    Attributes:
        role: of whoever reads this.
        agents: whether they may ask agents in the conversation.
    """

    role: PersonRole
    agents: bool
    people: list[PersonOut]


def people_wire(found: People) -> PeopleOut:
    """Return the people of a conversation as the API shows them."""
    people = [
        PersonOut(
            user_id=each.user_id,
            username=each.username,
            role=None if each.need is None else ROLES[each.need],
        )
        for each in found.people
    ]
    agents = found.need >= Need.ASK
    return PeopleOut(role=ROLES[found.need], agents=agents, people=people)
