"""Read what the decisions of a batch need, with few queries."""

from collections.abc import Callable, Sequence
from typing import Any, NotRequired, cast

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access
from chatvault.conversations.commits.change import Change, Key
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import BY_ID, Conversation
from chatvault.conversations.reading.tree import read_tree
from chatvault.conversations.segments import MAX_LENGTH, START, Segment, is_deleted
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, SegmentDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.fields import Raw

ALL_BUT_MESSAGES = tuple(
    Conversation.model_fields.keys() - {"id", "revision_id", "messages", "metadata"}
)

# MongoDB uses a partial index only for a query that repeats the index's condition.
_INDEXED: dict[str, Raw] = {"source": {"$type": "string"}}


class _Found(ConversationDoc):
    """A conversation as a batch reads it, perhaps with some of its embedded messages.

    Attributes:
        known: the embedded messages that changes name.
        ids: of all embedded messages.
    """

    known: NotRequired[list[MessageDoc]]
    ids: NotRequired[list[str]]


class BatchReader:
    """Reads, in a transaction and by owner, only what the changes need.

    Args:
        store: decodes the messages.
        session: the transaction's.
    """

    def __init__(self, store: MessageStore, session: AsyncClientSession) -> None:
        self._store = store
        self._session = session

    async def gather(self, changes: Sequence[Change[Any]]) -> dict[Key, WorkingCopy]:
        """Return the working copies that these changes decide on."""
        wanted: dict[Key, list[Change[Any]]] = {}
        for change in changes:
            wanted.setdefault(change.key, []).append(change)
        documents = await self._find_documents(wanted)
        older = {
            key: await self._read_older_id(fields)
            for key, fields in documents.items()
            if any(change.needs_last_not_deleted for change in wanted[key])
        }
        known = await self._find_messages(wanted, documents, older)
        moving = [
            fields
            for key, fields in documents.items()
            if any(change.needs_last_segment for change in wanted[key])
        ]
        newest = await self._read_newest_segments(moving)
        trees = {
            key: await read_tree(some[0].access, documents[key], self._session)
            for key, some in wanted.items()
            if key in documents and any(change.needs_tree for change in some)
        }
        return {
            key: WorkingCopy(
                some[0].access,
                self._store.codec,
                fields := documents.get(key),
                known=known.get(key),
                last_segment=newest.get(fields["generation"]) if fields else None,
                older_id=older.get(key),
                tree=trees.get(key),
            )
            for key, some in wanted.items()
        }

    async def _find_documents(self, wanted: dict[Key, list[Change[Any]]]) -> dict[Key, _Found]:
        existing = [some for some in wanted.values() if not all(each.is_new for each in some)]
        whole = [some for some in existing if _edits(some)]
        others = [some for some in existing if not _edits(some)]
        edited = await self._read_documents(whole, _tail)
        await self._store.open_conversations(edited.values(), aware=True, keep_stored=True)
        return edited | await self._read_known(others)

    async def _find_messages(
        self,
        wanted: dict[Key, list[Change[Any]]],
        documents: dict[Key, _Found],
        older: dict[Key, str | None],
    ) -> dict[Key, dict[str, StoredMessage]]:
        """Return the stored messages that the changes of each conversation name, by their id."""
        asked = {
            key: {each for change in wanted[key] for each in change.message_ids}
            | ({older_id} if (older_id := older.get(key)) else set())
            for key in documents
        }
        known = {key: _in_tail(documents[key], ids) for key, ids in asked.items()}
        # An edit may have to split the segment, and needs all of it.
        for edited in (True, False):
            rest = [
                (documents[key], ids - known[key].keys(), known[key])
                for key, ids in asked.items()
                if _edits(wanted[key]) is edited
            ]
            await self._look_in_segments(rest, whole=edited)
        return known

    async def _read_known(self, wanted: list[list[Change[Any]]]) -> dict[Key, _Found]:
        """Read conversations, with those of their embedded messages that the changes name."""
        documents = await self._read_documents(wanted, _one_of)
        # Few changes name an existing message; then a second query reads all of them and their
        # places.
        held = {key for key, fields in documents.items() if fields.get("messages")}
        hit = [some for some in wanted if some[0].key in held]
        for fields in documents.values():
            fields.pop("messages", None)
        known = await self._read_documents(hit, _known)
        return await self._open(documents | known)

    async def _open(self, found: dict[Key, _Found]) -> dict[Key, _Found]:
        await self._store.open_conversations(found.values(), aware=True)
        return found

    async def _read_documents(
        self, wanted: list[list[Change[Any]]], show: Callable[[list[str]], Raw]
    ) -> dict[Key, _Found]:
        """Read conversations by key, with what `show` projects for the named ids."""
        if not wanted:
            return {}
        changes = [change for some in wanted for change in some]
        projection: Raw = dict.fromkeys(ALL_BUT_MESSAGES, True)
        if any(change.needs_metadata for change in changes):
            projection["metadata"] = True
        projection |= show(sorted({each for change in changes for each in change.message_ids}))
        # By owner, as MongoDB plans each clause by itself.
        asked: dict[tuple[Access, str], list[Any]] = {}
        for first, *_ in wanted:
            name, value = first.where
            asked.setdefault((first.access, name), []).append(value)
        # What is in the trash is read, too: each change says whether it sees that.
        clauses = [
            Conversation.owned_with_trash_by(
                access, **{name: {"$in": each, **_INDEXED.get(name, {})}}
            )
            for (access, name), each in asked.items()
        ]
        query = {"$or": clauses} if clauses[1:] else clauses[0]
        hint = BY_ID if all(name == "_id" for _, name in asked) else None
        found = Conversation.get_pymongo_collection().find(
            query, projection, session=self._session, hint=hint
        )
        keys = {change.key for change in changes}
        documents: dict[Key, _Found] = {}
        for fields in cast("list[_Found]", await found.to_list()):
            for name in ("_id", "source"):
                key = (fields["user_id"], name, fields.get(name))
                if key in keys:
                    documents[key] = fields
        return documents

    async def _look_in_segments(
        self, wanted: list[tuple[_Found, set[str], dict[str, StoredMessage]]], *, whole: bool
    ) -> None:
        """Find messages by id in the segments of their conversations, with one query for all.

        Args:
            wanted: documents, the ids to find, and the dict to fill.
            whole: whether to read whole segments, not only these messages.
        """
        asked = {
            fields["generation"]: (fields, ids, known)
            for fields, ids, known in wanted
            if ids and fields["tail_seq"] > fields["first_seq"]
        }
        clauses = [
            {
                "user_id": fields["user_id"],
                "generation": generation,
                "messages.id": {"$in": sorted(ids)},
            }
            for generation, (fields, ids, _) in asked.items()
        ]
        if not clauses:
            return
        projection: Raw = dict.fromkeys(Segment.model_fields.keys() - {"id", "revision_id"}, True)
        if not whole:
            every_id = sorted(set[str]().union(*(ids for _, ids, _ in wanted)))
            some = {"$filter": {"input": "$messages", "cond": {"$in": ["$$this.id", every_id]}}}
            projection |= {"messages": some, "ids": "$messages.id"}
        found = Segment.get_pymongo_collection().find(
            {"$or": clauses}, projection, session=self._session
        )
        segments = await found.to_list()
        await self._store.open_segments(segments, places=_places_of, aware=True)
        for segment in segments:
            fields, ids, known = asked[segment["generation"]]
            messages = {message["id"]: message for message in segment["messages"]}
            base = fields["first_seq"] + segment["start"]
            for seq, message_id in enumerate(segment.get("ids", messages), base):
                if message_id in ids:
                    known[message_id] = StoredMessage(seq, messages[message_id], segment)

    async def _read_older_id(self, fields: ConversationDoc) -> str | None:
        """Return the id of the newest message not deleted, if it is in a segment."""
        if path := fields.get("path"):
            return path.get("leaf_id")
        if not fields["total_messages"] or not all(map(is_deleted, fields["messages"])):
            return None
        segment = await Segment.get_pymongo_collection().find_one(
            {
                "user_id": fields["user_id"],
                "generation": fields["generation"],
                "living": {"$gt": 0},
            },
            {"messages.id": True, "messages.deleted": True},
            sort=[("start", -1)],
            session=self._session,
        )
        if segment is None:
            return None
        newest: str = [each["id"] for each in segment["messages"] if not is_deleted(each)][-1]
        return newest

    async def _read_newest_segments(self, documents: list[_Found]) -> dict[ObjectId, SegmentDoc]:
        """Return the newest segments by generation, without messages, with one query for all."""
        ends = [(fields, fields["tail_seq"] - fields["first_seq"]) for fields in documents]
        clauses = [
            {
                "user_id": fields["user_id"],
                "generation": fields["generation"],
                "start": {"$gte": end - MAX_LENGTH, "$lt": end},
            }
            for fields, end in ends
            if end
        ]
        if not clauses:
            return {}
        query = {"$or": clauses} if clauses[1:] else clauses[0]
        found = Segment.get_pymongo_collection().find(
            query, {"messages": False, "runs": False}, session=self._session
        )
        segments = await found.to_list()
        return {each["generation"]: each for each in sorted(segments, key=START)}


def _places_of(segment: SegmentDoc) -> list[int] | None:
    """Return the places of those messages of a segment that were read; None for all."""
    ids: list[str] | None = cast("Raw", segment).get("ids")
    if ids is None:
        return None
    places = {message_id: place for place, message_id in enumerate(ids)}
    return [places[message["id"]] for message in segment["messages"]]


def _edits(changes: list[Change[Any]]) -> bool:
    return any(change.needs_tail or change.needs_tree for change in changes)


def _tail(_: list[str]) -> Raw:
    return {"messages": True}


def _one_of(ids: list[str]) -> Raw:
    return {"messages": {"$elemMatch": {"id": {"$in": ids}}}} if ids else {}


def _known(ids: list[str]) -> Raw:
    some = {"$filter": {"input": "$messages", "cond": {"$in": ["$$this.id", ids]}}}
    return {"known": some, "ids": "$messages.id"}


def _in_tail(fields: _Found, ids: set[str]) -> dict[str, StoredMessage]:
    """Return the embedded messages with these ids."""
    tail = fields.get("messages")
    if tail is None:
        known = {message["id"]: message for message in fields.get("known", ())}
        places: list[str] = fields.get("ids", [])
    else:
        known = {message["id"]: message for message in tail}
        places = [message["id"] for message in tail]
    base = fields["tail_seq"]
    return {
        message_id: StoredMessage(base + place, known[message_id])
        for place, message_id in enumerate(places)
        if message_id in ids
    }
