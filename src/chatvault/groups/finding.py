"""Finding the groups that somebody is in."""

from collections.abc import Sequence

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.fields import Raw
from chatvault.groups.expansion import access_of
from chatvault.groups.models import Group, Membership


async def find_groups(memberships: Sequence[Raw]) -> dict[ObjectId, Raw]:
    """Return the groups of some memberships, by id."""
    by_owner: dict[ObjectId, list[ObjectId]] = {}
    for each in memberships:
        by_owner.setdefault(each["owner_id"], []).append(each["group_id"])
    queries = [
        Group.owned_by(access_of(owner_id), _id={"$in": ids}) for owner_id, ids in by_owner.items()
    ]
    if not queries:
        return {}
    found = Group.get_pymongo_collection().find({"$or": queries})
    return {each["_id"]: each for each in await found.to_list()}


async def names_of(actor: Actor, group_ids: Sequence[ObjectId]) -> dict[ObjectId, str]:
    """Return the names of those of these groups that the actor is in."""
    which = Membership.held_by(actor, group_id={"$in": [*group_ids]})
    mine = await Membership.get_pymongo_collection().find(which).to_list() if group_ids else []
    return {key: group["name"] for key, group in (await find_groups(mine)).items()}
