"""Naming the people who have to do with a conversation: its owner, its guests, and who wrote."""

from dataclasses import dataclass

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.accounts.names import find_names
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.authors import Authorship
from chatvault.conversations.grants import NEEDS, Grant, GrantRole, is_in_force
from chatvault.conversations.notes import Note
from chatvault.conversations.trash.queries import check_not_gone


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has to do with a conversation.

    Attributes:
        need: the most that they may do; None for who wrote and has no grant now.
    """

    user_id: ObjectId
    username: str
    need: Need | None


@dataclass(frozen=True, slots=True)
class People:
    """The people of a conversation, the owner first, and what the actor may do with it."""

    need: Need
    people: list[Person]


async def list_people(actor: Actor, recorder: Recorder, *, conversation_id: ObjectId) -> People:
    """Return who owns a conversation, who may change something in it, and who wrote in it.

    Viewers are named to its owner and to themselves alone.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    await check_not_gone(access, conversation_id)
    needs = await _find_needs(access, conversation_id)
    shown = {
        user_id: need
        for user_id, need in needs.items()
        if need is not Need.READ or access.role is Need.MANAGE or user_id == actor.user_id
    }
    names = await find_names(shown)
    people = [Person(each, names[each], need) for each, need in shown.items() if each in names]
    details = {"people": len(people)}
    action = Action.CONVERSATION_LIST_PEOPLE
    await recorder.record(audit.entry(actor, action, conversation_id, details=details))
    return People(access.role, people)


async def _find_needs(access: Access, conversation_id: ObjectId) -> dict[ObjectId, Need | None]:
    """Return the most that each person may do; None for those who wrote and have no grant now."""
    needs: dict[ObjectId, Need | None] = {access.owner_id: Need.MANAGE}
    for grant in filter(is_in_force, await Grant.list_raw(access, conversation_id)):
        need = NEEDS[GrantRole(grant["role"])]
        needs[grant["grantee_id"]] = max(needs.get(grant["grantee_id"]) or need, need)
    for document in (Authorship, Note):
        its = document.owned_by(access, conversation_id=conversation_id)
        for author_id in await document.get_pymongo_collection().distinct("author_id", its):
            needs.setdefault(author_id, None)
    return needs
