"""A person with something in every collection, and a look for what is left of them."""

from typing import Any

import bson
from bson import ObjectId

from chatvault.documents import HOLDS
from chatvault.fields import Raw

# A word of the person's, stored in each document of theirs.
WORD = "Zwetschgenknödel"
# Fields that have another value in each document, whoever owns it.
UNIQUE = {
    "sessions": "token_hash",
    "api_keys": "key_hash",
    "links": "token_hash",
    "one_time_tokens": "token_hash",
}
# What an erasure leaves: the audit log with what becomes part of it, and the receipt, with ids.
KEPT = {"audit_logs", "audit_blocks", "audit_verifications", "pending_refusals", "erasures"}


# Ids of other things that the work on these documents needs.
IDS = {
    "authorships": ("conversation_id",),
    "memberships": ("group_id",),
    "group_grants": ("group_id", "conversation_id"),
    "group_tasks": ("group_id", "conversation_id", "by"),
}


async def put_everywhere(database: Any, user_id: ObjectId, word: str = WORD) -> None:
    """Store a document of the user in each collection that erasure is to remove from."""
    for name, holds in HOLDS.items():
        if holds.erased_with(user_id) is None or name == "users":
            continue
        key = str(holds.owner)
        owner = f"of {user_id} {name}" if holds.is_owner_within else user_id
        document = {"_id": ObjectId(), "words": word, key: owner}
        document |= dict.fromkeys(holds.also_of, owner)
        document |= {each: ObjectId() for each in IDS.get(name, ())}
        if name in UNIQUE:
            document[UNIQUE[name]] = str(owner)
        await database[name].insert_one(document)


async def traces(database: Any, user_id: ObjectId) -> set[str]:
    """Return the collections with the user's id or word anywhere, whatever they declare."""
    found = set()
    for name in await database.list_collection_names():
        if name in KEPT or name.startswith("system."):
            continue
        async for document in database[name].find():
            raw = bson.encode(document)
            if user_id.binary in raw or str(user_id).encode() in raw or WORD.encode() in raw:
                found.add(name)
    return found


async def make_due(database: Any) -> None:
    """Let the leases of processes that have ended run out."""
    await database.erasures.update_many({}, [{"$set": {"due_at": "$$NOW"}}])


async def the_erasure(database: Any) -> Raw:
    found: Raw = await database.erasures.find_one()
    return found
