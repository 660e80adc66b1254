"""What can be done with conversations; each change passes the lane, each read is recorded."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.draft import Draft
from chatvault.conversations.lane import Change, Lane
from chatvault.conversations.models import Conversation, Raw, Status
from chatvault.conversations.schemas import (
    ConversationCreate,
    ConversationPatch,
    ConversationUpdate,
    MessageIn,
)
from chatvault.errors import MessageIdTaken, NotFound
from chatvault.fields import count_changed_keys, now

DELETE_BATCH = 100

Versions = frozenset[int] | None


@dataclass(frozen=True, slots=True)
class AppendedMessage:
    """What became of an append: the message as stored, and the counters beside it."""

    message: Raw
    total_messages: int
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Some conversations, and how many there are in all."""

    conversations: list[Raw]
    total: int


async def create(actor: Actor, lane: Lane, *, wanted: ConversationCreate) -> Raw:
    """Begin a conversation; returns the stored document."""
    at = now()
    document = new_document(
        actor, title=wanted.title, tags=wanted.tags, metadata=wanted.metadata, at=at
    )
    messages = to_stored(wanted.messages, at)

    def decide(draft: Draft) -> None:
        draft.insert(dict(document))
        draft.append(messages, at, at)
        draft.entries.append(
            audit.entry(
                actor,
                Action.CONVERSATION_CREATE,
                document["_id"],
                details={"messages": len(messages)},
            )
        )

    await lane.submit(
        Change(
            actor=actor,
            where=("_id", document["_id"]),
            decide=decide,
            is_new=True,
            size=_size(messages),
        )
    )
    return await _read(actor, document["_id"])


def new_document(
    actor: Actor, *, title: str, tags: list[str], metadata: dict[str, Any], at: datetime
) -> Raw:
    """A conversation that begins, as it is stored; its messages follow."""
    return {
        "_id": ObjectId(),
        "user_id": actor.owner_id,
        "title": title,
        "status": Status.ACTIVE.value,
        "tags": tags,
        "metadata": metadata,
        "source": None,
        "created_at": at,
        "updated_at": at,
        "last_message_at": None,
        "total_messages": 0,
        "message_bytes": 0,
        "first_seq": 0,
        "next_seq": 0,
        "version": 1,
    }


def to_stored(messages: Sequence[MessageIn], at: datetime) -> list[Raw]:
    """Messages as they are embedded; ids that are not given are made here."""
    return [message.to_stored(default_id=str(uuid.uuid4()), at=at) for message in messages]


def _size(messages: list[Raw]) -> int:
    return 512 + sum(len(message["content"]) + 256 for message in messages)


async def get(actor: Actor, recorder: Recorder, *, conversation_id: ObjectId) -> Raw:
    """The stored document.

    Raises:
        NotFound: the actor has no such conversation.
    """
    stored = await _read(actor, conversation_id)
    await recorder.record(audit.entry(actor, Action.CONVERSATION_GET, conversation_id))
    return stored


async def read_back(actor: Actor, *, conversation_id: ObjectId) -> Raw:
    """The stored document, as part of the change that the actor just made.

    Raises:
        NotFound: it was deleted since.
    """
    return await _read(actor, conversation_id)


async def _read(actor: Actor, conversation_id: ObjectId) -> Raw:
    stored = await Conversation.find_raw(actor, conversation_id)
    if stored is None:
        raise NotFound("Conversation not found")
    return stored


async def list_page(
    actor: Actor,
    recorder: Recorder,
    *,
    status: Status | None,
    limit: int,
    offset: int,
    with_messages: bool,
) -> Page:
    """The actor's conversations, newest change first."""
    page, total = await asyncio.gather(
        Conversation.list_raw(
            actor, status=status, limit=limit, offset=offset, with_messages=with_messages
        ),
        Conversation.count_raw(actor, status=status),
    )
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST, details={"conversations": len(page)})
    )
    return Page(page, total)


async def count(actor: Actor, recorder: Recorder) -> int:
    """How many conversations the actor has."""
    total = await Conversation.count_raw(actor)
    await recorder.record(audit.entry(actor, Action.CONVERSATION_COUNT))
    return total


async def append_message(
    actor: Actor, lane: Lane, *, conversation_id: ObjectId, wanted: MessageIn
) -> AppendedMessage:
    """Store a message at the end; the same id with the same words again changes nothing.

    Raises:
        NotFound: the actor has no such conversation.
        MessageIdTaken: another message has this id.
        TooLarge: the conversation is full.
    """
    at = now()
    message = to_stored([wanted], at)[0]

    def decide(draft: Draft) -> AppendedMessage:
        known = draft.head and draft.known_message(message["id"])
        if known and not _is_same(known, message):
            raise MessageIdTaken
        if not known:
            draft.append([dict(message)], at, at)
        draft.entries.append(
            audit.entry(
                actor,
                Action.CONVERSATION_APPEND_MESSAGE,
                conversation_id,
                details={"repeated": True} if known else None,
            )
        )
        head = draft.head
        stored = draft.known_message(message["id"]) or message
        return AppendedMessage(stored, head["total_messages"], head["version"], head["updated_at"])

    return await lane.submit(
        Change(
            actor=actor,
            where=("_id", conversation_id),
            decide=decide,
            message_ids=frozenset({message["id"]} if wanted.id else ()),
            size=_size([message]),
        )
    )


def _is_same(stored: Raw, message: Raw) -> bool:
    return all(stored.get(name) == message.get(name) for name in ("role", "content"))


async def update(
    actor: Actor,
    lane: Lane,
    *,
    conversation_id: ObjectId,
    wanted: ConversationUpdate | ConversationPatch,
    versions: Versions,
) -> int:
    """Change the fields that are named; returns the new version.

    Args:
        actor: whose conversation it must be.
        lane: takes the change.
        conversation_id: which one.
        wanted: values that replace, or a patch that is merged in.
        versions: those that the change may be made on; None for any.

    Raises:
        NotFound: the actor has no such conversation.
        StaleVersion: it has another version.
        InvalidInput: the merged metadata would be too large.
    """
    at = now()
    messages = None if wanted.messages is None else to_stored(wanted.messages, at)

    def decide(draft: Draft) -> int:
        draft.require_version(versions)
        before = draft.head["metadata"]
        fields = wanted.fields(before)
        details: dict[str, Any] = {"fields": sorted(wanted.model_fields_set)}
        if "metadata" in fields:
            details["metadata_keys_changed"] = count_changed_keys(before, fields["metadata"])
        if fields:
            draft.set(at, **fields)
        if messages is not None:
            draft.clear_messages(at)
            draft.append([dict(message) for message in messages], at, at)
            details["messages"] = len(messages)
        draft.entries.append(
            audit.entry(actor, Action.CONVERSATION_UPDATE, conversation_id, details=details)
        )
        return int(draft.head["version"])

    return await lane.submit(
        Change(
            actor=actor,
            where=("_id", conversation_id),
            decide=decide,
            needs_metadata=True,
            size=_size(messages or []),
        )
    )


async def delete(
    actor: Actor, lane: Lane, *, conversation_id: ObjectId, versions: Versions
) -> None:
    """End a conversation and remove its messages, for good.

    Raises:
        NotFound: the actor has no such conversation.
        StaleVersion: it has another version.
    """

    def decide(draft: Draft) -> None:
        draft.require_version(versions)
        draft.delete()
        draft.entries.append(audit.entry(actor, Action.CONVERSATION_DELETE, conversation_id))

    await lane.submit(Change(actor=actor, where=("_id", conversation_id), decide=decide))


async def delete_all(actor: Actor, lane: Lane, recorder: Recorder) -> int:
    """Delete every conversation that the actor has now; returns how many.

    It goes in bounded transactions, with an audit entry a conversation: a crash leaves some
    deleted and audited, and a repeat finishes.
    """
    ids = await Conversation.list_ids(actor)
    deleted = 0
    for start in range(0, len(ids), DELETE_BATCH):
        batch = ids[start : start + DELETE_BATCH]
        deletions = [
            delete(actor, lane, conversation_id=conversation_id, versions=None)
            for conversation_id in batch
        ]
        for outcome in await asyncio.gather(*deletions, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, NotFound):
                raise outcome
            deleted += outcome is None
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_DELETE_ALL, details={"conversations": deleted})
    )
    return deleted
