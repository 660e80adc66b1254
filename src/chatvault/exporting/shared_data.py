"""Shares of a user, and those that others made for them, for the export of all that is theirs."""

from collections.abc import AsyncGenerator

from bson import ObjectId

from chatvault.access import Access, Guest
from chatvault.actor import Actor
from chatvault.conversations.grants import Grant, list_given
from chatvault.conversations.links import Link
from chatvault.conversations.models import Conversation
from chatvault.conversations.notes import Note
from chatvault.conversations.trash.queries import list_trashed
from chatvault.encoding import to_json
from chatvault.fields import Raw
from chatvault.links.schemas import link_wire

# The most links, and the most grants of others, in an export.
LISTED = 10_000


async def list_links(access: Access) -> list[Raw]:
    """Return the owner's links, without their tokens, the newest first."""
    return [link_wire(each) for each in await Link.list_raw(access, LISTED)]


async def list_grants(actor: Actor) -> Raw:
    """Return the grants that a user gave, the oldest first, and those they have."""
    given = [_grant(each) for each in await Grant.list_raw(Access.of(actor))]
    received = [_grant(raw) for _, raw in await _list_received(actor)]
    return {"given": given, "received": received}


async def _list_received(actor: Actor) -> list[tuple[Guest, Raw]]:
    """Return the grants that a user has, but those of conversations in the trash."""
    given = await list_given(actor, LISTED, None)
    by_owner: dict[Access, list[ObjectId]] = {}
    for guest, raw in given:
        by_owner.setdefault(guest.access, []).append(raw["conversation_id"])
    there: set[ObjectId] = set()
    for access, ids in by_owner.items():
        there.update(await Conversation.list_ids(access, _id={"$in": ids}))
    return [each for each in given if each[1]["conversation_id"] in there]


def _grant(raw: Raw) -> Raw:
    names = ("conversation_id", "owner_id", "grantee_id", "role", "at", "expires_at")
    by_group = {"group_id": raw["via_group"]} if raw.get("via_group") else {}
    return {**{name: raw.get(name) for name in names}, **by_group}


async def walk_notes(actor: Actor) -> AsyncGenerator[bytes]:
    """Yield the notes in a user's conversations, then their own in those shared with them."""
    access = Access.of(actor)
    hidden = {*await list_trashed(access)}
    async for each in Note.get_pymongo_collection().find(Note.owned_by(access)).sort("_id", 1):
        if each["conversation_id"] not in hidden:
            yield _line(each)
    for guest, raw in await _list_received(actor):
        conversation_id = raw["conversation_id"]
        which = {"conversation_id": conversation_id, "author_id": actor.owner_id}
        query = Note.owned_by(guest.access, **which)
        async for each in Note.get_pymongo_collection().find(query).sort("_id", 1):
            yield _line(each)


def _line(note: Raw) -> bytes:
    names = ("conversation_id", "message_id", "author_id", "content", "created_at", "updated_at")
    return to_json({"id": note["_id"], **{name: note[name] for name in names}}) + b"\n"
