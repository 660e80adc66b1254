"""One group of changes: read the heads, decide each change, write what was accepted."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from beanie import Document
from bson import ObjectId
from pymongo import InsertOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, OperationFailure

from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.audit.models import AuditEntry, Entry
from chatvault.conversations.draft import Draft, Located, Stalled, Write
from chatvault.conversations.models import BY_ID, Conversation, Raw
from chatvault.conversations.segments import (
    MAX_LENGTH,
    START,
    Retired,
    Revision,
    Segment,
    is_living,
)
from chatvault.errors import Busy, ChatvaultError
from chatvault.idempotency import IdempotencyRecord, Repeatable

T = TypeVar("T")
Key = tuple[ObjectId, str, Any]
HEAD_FIELDS = tuple(
    Conversation.model_fields.keys() - {"id", "revision_id", "messages", "metadata"}
)
DUPLICATE_KEY = 11000


class Conflicted(Busy):
    """Another process changed the same conversation."""


@dataclass(slots=True, kw_only=True, eq=False)
class Change(Generic[T]):
    """One request's wish.

    Attributes:
        actor: whose conversation it must be.
        action: as what it is audited.
        where: `_id` or `source`, and its value.
        decide: looks at the draft and either refuses by raising, before it touched anything, or
            decides and gives the answer. It may be called again, on another draft.
        message_ids: ids that the decision asks about.
        needs_metadata: the decision reads the metadata.
        needs_tail: the decision reads or edits embedded messages.
        needs_last_segment: the decision moves messages.
        needs_last_living: the decision asks for the newest message that lives.
        is_new: the conversation begins with this change, so there is nothing to read.
        size: about how many bytes it writes.
        repeatable: its Idempotency-Key, if it has one.
    """

    actor: Actor
    action: Action
    where: tuple[str, Any]
    decide: Callable[[Draft], T]
    message_ids: frozenset[str] = frozenset()
    needs_metadata: bool = False
    needs_tail: bool = False
    needs_last_segment: bool = False
    needs_last_living: bool = False
    is_new: bool = False
    size: int = 0
    repeatable: Repeatable[T] | None = None
    answer: "asyncio.Future[T]" = field(init=False)

    @property
    def key(self) -> Key:
        """What two changes of the same conversation share."""
        return (self.actor.owner_id, *self.where)


class Group:
    """Some changes that one transaction carries; made anew for each try.

    Args:
        changes: in the order of arrival.
        session: of the transaction.
    """

    def __init__(self, changes: Sequence[Change[Any]], session: AsyncClientSession) -> None:
        self._changes = changes
        self._session = session
        # What is answered again, and the entry that tells so; or why it cannot be.
        self._recalled: dict[Change[Any], tuple[Any, Entry] | ChatvaultError] = {}
        self._new_records: dict[tuple[ObjectId, str, str], Write] = {}
        self.drafts: dict[Key, Draft] = {}

    async def carry(self) -> list[Any]:
        """Each change's answer, or the error it is refused with, once all is written.

        Raises:
            Conflicted: another process was in the way; nothing of this may be committed.
        """
        await self._read_drafts()
        await self._recall()
        answers = [self._decide(change) for change in self._changes]
        await self._write()
        return answers

    def _decide(self, change: Change[Any]) -> Any:
        draft = self.drafts[change.key]
        draft.begin_change()
        recalled = self._recalled.get(change)
        if isinstance(recalled, ChatvaultError):
            return recalled
        if recalled is not None:
            answer, entry = recalled
            draft.entries.append(entry)
            return answer
        try:
            if change.repeatable is None:
                return change.decide(draft)
            return self._decide_once(change, change.repeatable, draft)
        except ChatvaultError as error:
            return error

    def _decide_once(self, change: Change[T], repeatable: Repeatable[T], draft: Draft) -> T:
        key = (change.actor.owner_id, repeatable.repeat.route, repeatable.repeat.key)
        if key in self._new_records:
            # The next group finds the record, and reads what it tells of.
            raise Stalled
        answer = change.decide(draft)
        self._new_records[key] = InsertOne(repeatable.record_of(change.actor, answer))
        return answer

    async def _read_drafts(self) -> None:
        wanted: dict[Key, list[Change[Any]]] = {}
        for change in self._changes:
            wanted.setdefault(change.key, []).append(change)
        existing = {key: some for key, some in wanted.items() if not all(c.is_new for c in some)}
        whole = [key for key, some in existing.items() if any(c.needs_tail for c in some)]
        heads = await self._read_heads([existing[key] for key in whole], with_tail=True)
        others = [some for key, some in existing.items() if key not in whole]
        heads |= await self._read_heads(others, with_tail=False)
        asked: dict[Key, set[str]] = {}
        older: dict[Key, str | None] = {}
        for key in heads:
            some = wanted[key]
            asked[key] = {message_id for change in some for message_id in change.message_ids}
            if any(change.needs_last_living for change in some):
                older[key] = older_id = await self._read_older_id(heads[key])
                asked[key] |= {older_id} if older_id else set()
        known = {key: _in_tail(heads[key], ids) for key, ids in asked.items()}
        # Whoever edits may have to cut the segment anew, and needs all of it.
        for edited in (True, False):
            rest = [
                (heads[key], ids - known[key].keys(), known[key])
                for key, ids in asked.items()
                if (key in whole) is edited
            ]
            await self._look_in_segments(rest, whole=edited)
        moving = [
            heads[key]
            for key, some in wanted.items()
            if key in heads and any(change.needs_last_segment for change in some)
        ]
        newest = await self._read_newest_segments(moving)
        for key, some in wanted.items():
            last = newest.get(heads[key]["generation"]) if key in heads else None
            owner_id = some[0].actor.owner_id
            self.drafts[key] = Draft(owner_id, heads.get(key), known.get(key), last, older.get(key))

    async def _read_heads(
        self, wanted: list[list[Change[Any]]], *, with_tail: bool
    ) -> dict[Key, Raw]:
        if not wanted:
            return {}
        changes = [change for some in wanted for change in some]
        projection: Raw = dict.fromkeys(HEAD_FIELDS, True)
        projection["metadata"] = any(change.needs_metadata for change in changes) or 0
        if not projection["metadata"]:
            del projection["metadata"]
        ids = sorted({message_id for change in changes for message_id in change.message_ids})
        if with_tail:
            projection["messages"] = True
        elif ids:
            projection["known"] = {
                "$filter": {"input": "$messages", "cond": {"$in": ["$$this.id", ids]}}
            }
            projection["ids"] = "$messages.id"
        # By owner, as MongoDB plans each clause on its own.
        asked: dict[tuple[ObjectId, str], list[Any]] = {}
        for owner_id, name, value in (keys := {change.key for change in changes}):
            asked.setdefault((owner_id, name), []).append(value)
        clauses = [{"user_id": owner, name: {"$in": each}} for (owner, name), each in asked.items()]
        query = {"$or": clauses} if clauses[1:] else clauses[0]
        hint = BY_ID if all(name == "_id" for _, name in asked) else None
        found = Conversation.get_pymongo_collection().find(
            query, projection, session=self._session, hint=hint
        )
        heads: dict[Key, Raw] = {}
        async for head in found:
            for name in ("_id", "source"):
                key = (head["user_id"], name, head.get(name))
                if key in keys:
                    heads[key] = head
        return heads

    async def _look_in_segments(
        self, wanted: list[tuple[Raw, set[str], dict[str, Located]]], *, whole: bool
    ) -> None:
        """Find messages by id in the segments of their conversations, with one query for all.

        Args:
            wanted: heads, the ids that are looked for, and where to put what is found.
            whole: read whole segments, not only these messages of them.
        """
        asked = {
            head["generation"]: (head, ids, known)
            for head, ids, known in wanted
            if ids and head["tail_seq"] > head["first_seq"]
        }
        clauses = [
            {
                "user_id": head["user_id"],
                "generation": generation,
                "messages.id": {"$in": sorted(ids)},
            }
            for generation, (head, ids, _) in asked.items()
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
        async for segment in found:
            head, ids, known = asked[segment["generation"]]
            messages = {message["id"]: message for message in segment["messages"]}
            base = head["first_seq"] + segment["start"]
            for seq, message_id in enumerate(segment.get("ids", messages), base):
                if message_id in ids:
                    known[message_id] = Located(messages[message_id], seq, segment)

    async def _read_older_id(self, head: Raw) -> str | None:
        """The newest message that lives in a segment, where none lives in the tail."""
        if not head["total_messages"] or any(map(is_living, head["messages"])):
            return None
        segment = await Segment.get_pymongo_collection().find_one(
            {
                "user_id": head["user_id"],
                "generation": head["generation"],
                "living": {"$gt": 0},
            },
            {"messages.id": True, "messages.deleted": True},
            sort=[("start", -1)],
            session=self._session,
        )
        return (
            [each["id"] for each in segment["messages"] if is_living(each)][-1] if segment else None
        )

    async def _read_newest_segments(self, heads: list[Raw]) -> dict[ObjectId, Raw]:
        """The newest segments by generation, without their messages, with one query for all."""
        ends = [(head, head["tail_seq"] - head["first_seq"]) for head in heads]
        clauses = [
            {
                "user_id": head["user_id"],
                "generation": head["generation"],
                "start": {"$gte": end - MAX_LENGTH, "$lt": end},
            }
            for head, end in ends
            if end
        ]
        if not clauses:
            return {}
        query = {"$or": clauses} if clauses[1:] else clauses[0]
        found = Segment.get_pymongo_collection().find(
            query, {"messages": False}, session=self._session
        )
        segments = await found.to_list()
        return {each["generation"]: each for each in sorted(segments, key=START)}

    async def _recall(self) -> None:
        """Find the answers that were given before to requests with the same key."""
        keyed = [(each, each.repeatable) for each in self._changes if each.repeatable is not None]
        wanted = [
            IdempotencyRecord.owned_by(
                change.actor, route=repeatable.repeat.route, key=repeatable.repeat.key
            )
            for change, repeatable in keyed
        ]
        if not wanted:
            return
        found = IdempotencyRecord.get_pymongo_collection().find(
            {"$or": wanted}, session=self._session
        )
        records = {(each["user_id"], each["route"], each["key"]): each async for each in found}
        for change, repeatable in keyed:
            route, key, _ = repeatable.repeat
            record = records.get((change.actor.owner_id, route, key))
            if record is None:
                continue
            try:
                answer = await repeatable.answer_again(record, self._session)
            except ChatvaultError as error:
                self._recalled[change] = error
            else:
                entry = repeatable.entry(change.actor, change.action, record)
                self._recalled[change] = answer, entry

    async def _write(self) -> None:
        drafts = self.drafts.values()
        heads = [write for draft in drafts if (write := draft.write()) is not None]
        await self._apply(Conversation, heads)
        await self._apply(Segment, [write for draft in drafts for write in draft.segments])
        await self._apply(Retired, [write for draft in drafts for write in draft.retired])
        await self._apply(IdempotencyRecord, list(self._new_records.values()))
        await self._apply(
            Revision, [write for draft in drafts for write in draft.revisions], each=False
        )
        beside: dict[type[Document], list[Write]] = {}
        for draft in drafts:
            for document, write in draft.beside:
                beside.setdefault(document, []).append(write)
        for document, writes in beside.items():
            await self._apply(document, writes)
        entries: list[Entry] = [entry for draft in drafts for entry in draft.entries]
        if entries:
            await AuditEntry.store(entries, self._session)

    async def _apply(
        self, document: type[Document], writes: list[Write], *, each: bool = True
    ) -> None:
        """Write all of it, where `each` is set every statement hitting its document, or give way.

        Raises:
            Conflicted: another process was in the way.
            OperationFailure: MongoDB refused.
        """
        if not writes:
            return
        try:
            result = await document.get_pymongo_collection().bulk_write(
                writes, session=self._session
            )
        except BulkWriteError as error:
            failed = (error.details or {}).get("writeErrors") or [{}]
            code = failed[0].get("code")
            if code == DUPLICATE_KEY:
                raise Conflicted from None
            # The driver's own error repeats the messages, and would bring them into the logs.
            labels = {"errorLabels": (error.details or {}).get("errorLabels", [])}
            raise OperationFailure("A bulk write was refused", code, labels) from None
        written = result.inserted_count + result.matched_count + result.deleted_count
        if each and written != len(writes):
            raise Conflicted


def _in_tail(head: Raw, ids: set[str]) -> dict[str, Located]:
    """The embedded messages with these ids."""
    tail = head.get("messages")
    if tail is None:
        known = {message["id"]: message for message in head.get("known", ())}
        places: list[str] = head.get("ids", [])
    else:
        known = {message["id"]: message for message in tail}
        places = [message["id"] for message in tail]
    base = head["tail_seq"]
    return {
        message_id: Located(known[message_id], base + place)
        for place, message_id in enumerate(places)
        if message_id in ids
    }
