"""What can be done with a conversation's messages."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.recorder import Recorder
from chatvault.conversations.bulk import CARRIED_BYTES
from chatvault.conversations.draft import Draft, Located
from chatvault.conversations.group import Change, Repeatable
from chatvault.conversations.idempotency import Repeat
from chatvault.conversations.lane import Lane
from chatvault.conversations.models import Conversation, MessageRole, Raw
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.reading import (
    MessagePage,
    Placed,
    find_messages,
    living,
    read_after,
    read_before,
    read_offset,
    steadily,
    stream,
)
from chatvault.conversations.schemas import MessageEdit, MessageIn, to_stored
from chatvault.conversations.segments import Revision, size_of
from chatvault.conversations.service import estimate
from chatvault.errors import MessageIdTaken, NotFound, NotLastAnswer, TooLarge
from chatvault.fields import now


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became of an append.

    Attributes:
        messages: as they are stored, with their places; in a repeat, those that still live.
        repeated: how many of them were there already.
    """

    messages: list[Placed]
    repeated: int
    total_messages: int
    version: int
    updated_at: datetime


async def append(
    actor: Actor,
    lane: Lane,
    *,
    conversation_id: ObjectId,
    wanted: list[MessageIn],
    repeat: Repeat | None = None,
    action: Action = Action.CONVERSATION_APPEND_MESSAGE,
) -> Appended:
    """Store messages at the end, all or none; the same ids with the same words change nothing.

    Raises:
        NotFound: the actor has no such conversation.
        MessageIdTaken: another message has one of these ids.
        TooLarge: the messages are more than one step can carry.
        NotLastAnswer: what shall be replaced is not the last answer.
    """
    at = now()
    messages = to_stored(wanted, at)
    if sum(map(size_of, messages)) > CARRIED_BYTES:
        raise TooLarge(f"A batch may have at most {CARRIED_BYTES // 1024**2} MB of messages.")

    def decide(draft: Draft) -> Appended:
        assert draft.head  # noqa: S101  # raises NotFound
        repeated = _find_repeated(draft, messages)
        fresh = [dict(message) for message in messages if message["id"] not in repeated]
        draft.append(fresh, at, at)
        details: dict[str, Any] = {"messages": len(fresh)}
        if repeated:
            details["repeated"] = len(repeated)
        draft.entries.append(audit.entry(actor, action, conversation_id, details=details))
        return _answer(draft, [message["id"] for message in messages], len(repeated))

    given = frozenset(message.id for message in wanted if message.id is not None)
    change: Change[Appended] = Change(
        actor=actor,
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=given,
        size=estimate(messages),
        repeatable=_repeatable(repeat, conversation_id),
    )
    return await _submit(actor, lane, change)


def _find_repeated(draft: Draft, messages: list[Raw]) -> set[str]:
    repeated = set()
    for message in messages:
        known = draft.find(message["id"])
        if known is None:
            continue
        if any(known.message.get(name) != message.get(name) for name in ("role", "content")):
            raise MessageIdTaken
        repeated.add(message["id"])
    return repeated


def _answer(draft: Draft, ids: list[str], repeated: int) -> Appended:
    head = draft.head
    located = [found for message_id in ids if (found := draft.find(message_id))]
    return Appended(
        messages=[(each.seq, each.message) for each in located],
        repeated=repeated,
        total_messages=head["total_messages"],
        version=head["version"],
        updated_at=head["updated_at"],
    )


def _repeatable(repeat: Repeat | None, conversation_id: ObjectId) -> Repeatable[Appended] | None:
    if repeat is None:
        return None
    return Repeatable(
        *repeat,
        remember=lambda answer: {
            "conversation_id": conversation_id,
            "message_ids": [message["id"] for _, message in answer.messages],
            "repeated": answer.repeated,
            "total_messages": answer.total_messages,
            "version": answer.version,
            "updated_at": answer.updated_at,
        },
        recall=lambda result: Appended(
            # Only what identifies them is remembered; _submit reads them again.
            messages=[(-1, {"id": message_id}) for message_id in result["message_ids"]],
            repeated=result["repeated"],
            total_messages=result["total_messages"],
            version=result["version"],
            updated_at=result["updated_at"],
        ),
    )


async def _submit(actor: Actor, lane: Lane, change: Change[Appended]) -> Appended:
    appended = await lane.submit(change)
    if all(seq >= 0 for seq, _ in appended.messages):
        return appended
    _, conversation_id = change.where

    async def read(conversation: Raw) -> list[Placed]:
        ids = [message["id"] for _, message in appended.messages]
        return living(await find_messages(actor, conversation, ids))

    return replace(appended, messages=await steadily(actor, conversation_id, read))


async def replace_last(
    actor: Actor,
    lane: Lane,
    *,
    conversation_id: ObjectId,
    wanted: MessageIn,
    repeat: Repeat | None = None,
) -> Appended:
    """Put an answer in the place of the last one, which is kept as a revision.

    Raises:
        NotFound: the actor has no such conversation.
        NotLastAnswer: what `wanted.replaces` names is not the last message, or no answer.
    """
    at = now()
    message = to_stored([wanted], at)[0]

    def decide(draft: Draft) -> Appended:
        last = draft.head and draft.last_living()
        if (
            not last
            or last.message["id"] != wanted.replaces
            or last.message["role"] != MessageRole.ASSISTANT
        ):
            raise NotLastAnswer
        draft.replace_message(last, dict(message), at)
        draft.entries.append(
            audit.entry(actor, Action.CONVERSATION_REPLACE_MESSAGE, conversation_id)
        )
        return _answer(draft, [last.message["id"]], 0)

    change: Change[Appended] = Change(
        actor=actor,
        action=Action.CONVERSATION_REPLACE_MESSAGE,
        where=("_id", conversation_id),
        decide=decide,
        needs_tail=True,
        needs_last_living=True,
        size=estimate([message]),
        repeatable=_repeatable(repeat, conversation_id),
    )
    return await _submit(actor, lane, change)


async def edit(
    actor: Actor,
    lane: Lane,
    *,
    conversation_id: ObjectId,
    message_id: str,
    wanted: MessageEdit,
    precondition: Precondition,
) -> Placed:
    """Change a message; what it was is kept as a revision.

    Raises:
        NotFound: the actor has no such message.
        StaleVersion: it has another version.
    """
    at = now()

    def decide(draft: Draft) -> Placed:
        located = _locate(draft, message_id, precondition)
        if wanted.version is not None:
            Precondition(given=True, versions=frozenset({wanted.version})).check(
                located.message.get("version", 1)
            )
        draft.replace_message(located, wanted.apply_to(located.message), at)
        draft.entries.append(audit.entry(actor, Action.CONVERSATION_EDIT_MESSAGE, conversation_id))
        edited = draft.locate(message_id)
        return edited.seq, edited.message

    return await lane.submit(
        Change(
            actor=actor,
            action=Action.CONVERSATION_EDIT_MESSAGE,
            where=("_id", conversation_id),
            decide=decide,
            message_ids=frozenset({message_id}),
            needs_tail=True,
            size=len((wanted.content or "").encode()),
        )
    )


async def remove(
    actor: Actor,
    lane: Lane,
    *,
    conversation_id: ObjectId,
    message_id: str,
    precondition: Precondition,
) -> None:
    """Remove a message and its revisions; its id and its place stay taken.

    Raises:
        NotFound: the actor has no such message.
        StaleVersion: it has another version.
    """
    at = now()

    def decide(draft: Draft) -> None:
        draft.remove_message(_locate(draft, message_id, precondition), at)
        draft.entries.append(
            audit.entry(actor, Action.CONVERSATION_DELETE_MESSAGE, conversation_id)
        )

    await lane.submit(
        Change(
            actor=actor,
            action=Action.CONVERSATION_DELETE_MESSAGE,
            where=("_id", conversation_id),
            decide=decide,
            message_ids=frozenset({message_id}),
            needs_tail=True,
        )
    )


def _locate(draft: Draft, message_id: str, precondition: Precondition) -> Located:
    assert draft.head  # noqa: S101  # raises NotFound
    located = draft.locate(message_id)
    precondition.check(located.message.get("version", 1))
    return located


async def get(
    actor: Actor, recorder: Recorder, *, conversation_id: ObjectId, message_id: str
) -> Placed:
    """One message and its place.

    Raises:
        NotFound: the actor has no such message.
    """

    async def read(conversation: Raw) -> list[Placed]:
        return living(await find_messages(actor, conversation, [message_id]))

    found = await steadily(actor, conversation_id, read)
    if not found:
        raise NotFound("Message not found")
    await recorder.record(audit.entry(actor, Action.CONVERSATION_GET_MESSAGE, conversation_id))
    return found[0]


async def list_revisions(
    actor: Actor, recorder: Recorder, *, conversation_id: ObjectId, message_id: str
) -> list[Raw]:
    """What a message was before its edits, oldest first.

    Raises:
        NotFound: the actor has no such conversation.
    """
    if await Conversation.find_raw(actor, conversation_id) is None:
        raise NotFound("Conversation not found")
    mine = Revision.owned_by(actor, conversation_id=conversation_id, message_id=message_id)
    found = (
        await Revision.get_pymongo_collection()
        .find(mine)
        .sort([("seq", 1), ("version", 1)])
        .to_list()
    )
    await recorder.record(audit.entry(actor, Action.CONVERSATION_LIST_REVISIONS, conversation_id))
    return found


async def list_page(
    actor: Actor,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    limit: int,
    offset: int,
    before: int | None,
    after: int | None,
) -> MessagePage:
    """A page of living messages, oldest first.

    Args:
        actor: whose conversation it must be.
        recorder: takes the entry.
        conversation_id: which one.
        limit: at most so many messages.
        offset: how many to pass over from the oldest, where no cursor is given.
        before: only places lower than this, nearest first chosen.
        after: only places higher than this.

    Raises:
        NotFound: the actor has no such conversation.
    """

    async def read(conversation: Raw) -> MessagePage:
        if before is not None:
            return await read_before(actor, conversation, before, limit)
        if after is not None:
            return await read_after(actor, conversation, after, limit)
        return await read_offset(actor, conversation, offset, limit)

    page = await steadily(actor, conversation_id, read)
    details = {"messages": len(page.messages)}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)
    )
    return page


async def stream_all(
    actor: Actor, recorder: Recorder, *, conversation_id: ObjectId
) -> AsyncGenerator[list[Placed]]:
    """All living messages, run by run, at constant memory; recorded before the first leaves.

    Raises:
        NotFound: the actor has no such conversation.
        Busy: they were replaced meanwhile, so that the rest cannot be given.
    """
    conversation = await Conversation.find_raw(actor, conversation_id)
    if conversation is None:
        raise NotFound("Conversation not found")
    details = {"messages": conversation["total_messages"], "streamed": True}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)
    )
    return stream(actor, conversation)
