"""The limit of batching: appends and their audit entries by the driver, many in a transaction.

Without HTTP, session or decision: a service that batches approaches it, and never exceeds it.
"""

import random
import uuid
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

import operations

ENTRIES = "yardstick_audit"
GROUPS = 2  # in flight, as in the service's commit queue
SIZE = 16  # of each, so that together they are as many as the connections
HEAD = {"user_id": True, "version": True, "total_messages": True}


async def prepare(collection: operations.Collection) -> None:
    """Create the indexes of the entries as the service does."""
    database = collection.database
    indexes = await database["audit_logs"].index_information()
    for index in indexes.values():
        await database[ENTRIES].create_index(index["key"])


async def append(
    collection: operations.Collection,
    targets: list[tuple[ObjectId, ObjectId]],
    message: dict[str, Any],
) -> int:
    """Append to some conversations, each with an entry, in one transaction; return how many.

    Args:
        collection: the yardsticks' conversations.
        targets: owners and conversations, which no concurrent transaction touches.
        message: what is appended, under an id of its own.
    """
    client = collection.database.client
    at = datetime.now(UTC)
    async with client.start_session() as session:
        await session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority", j=True))
        wanted = {"user_id": targets[0][0], "_id": {"$in": [each for _, each in targets]}}
        found = collection.find(wanted, HEAD, session=session, hint="_id_")
        documents = await found.to_list()
        writes = [
            UpdateOne(
                {name: fields[name] for name in ("_id", "user_id", "version")},
                {
                    "$push": {"messages": {**message, "id": str(uuid.uuid4()), "timestamp": at}},
                    "$set": {
                        "total_messages": fields["total_messages"] + 1,
                        "version": fields["version"] + 1,
                        "updated_at": at,
                        "last_message_at": at,
                    },
                },
                hint="_id_",
            )
            for fields in documents
        ]
        await collection.bulk_write(writes, session=session)
        entries = [_entry(fields, at) for fields in documents]
        await collection.database[ENTRIES].insert_many(entries, session=session)
        await session.commit_transaction()
    return len(documents)


def _entry(fields: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Return an audit entry as large as the service's."""
    return {
        "_id": ObjectId(),
        "at": at,
        "action": "conversation.append_message",
        "outcome": "success",
        "code": None,
        "door": "http",
        "user_id": fields["user_id"],
        "role": "user",
        "session_id": fields["user_id"],
        "resource_type": "conversation",
        "resource_id": str(fields["_id"]),
        "address": "127.0.0.1",
        "user_agent": "benchmark",
        "request_id": uuid.uuid4().hex,
        "duration_ms": 1.234,
        "details": {"messages": 1},
        "key_id": "00000000",
        "mac": random.randbytes(32),  # noqa: S311  # so that it does not compress
    }
