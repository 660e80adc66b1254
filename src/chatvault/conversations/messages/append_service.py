"""Appending messages: at the end, or in place of the last answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import place
from chatvault.conversations.authors import note_author, sign
from chatvault.conversations.branches.service import check_no_reply
from chatvault.conversations.commits.bulk import CARRIED_BYTES
from chatvault.conversations.commits.change import OVERHEAD, Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import MessageRole
from chatvault.conversations.parents import link_parents, names_parent, parent_ids
from chatvault.conversations.reading.consistency import not_deleted
from chatvault.conversations.reading.finding import find_messages
from chatvault.conversations.reading.pages import ConversationView
from chatvault.conversations.schemas import MessageIn, to_stored
from chatvault.conversations.segments import TAIL_BYTES, is_deleted, size_of
from chatvault.conversations.service import read_back
from chatvault.conversations.shapes import MessageDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.conversations.tree import Link
from chatvault.errors import MessageIdTaken, NotFound, NotLastAnswer, StoredNotShown, TooLarge
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent
from chatvault.slices import sliced


class MessageGone(NotFound):
    """The message was stored, and has been deleted since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The result of an append.

    Attributes:
        messages: the stored messages with their places; in a repeat, those that are not deleted.
        repeated: the number of them that were stored before.
        conversation: the conversation after the change, if it is to be shown.
    """

    messages: list[StoredMessage]
    repeated: int
    total_messages: int
    version: int
    updated_at: datetime
    conversation: ConversationView | None = None


def appended(working: WorkingCopy, ids: list[str], repeated: int) -> Appended:
    """Return the answer to a change that was applied to the working copy."""
    fields = working.fields
    return Appended(
        messages=[found for message_id in ids if (found := working.find(message_id))],
        repeated=repeated,
        total_messages=fields["total_messages"],
        version=fields["version"],
        updated_at=fields["updated_at"],
    )


def idempotent_append(
    access: Access,
    store: MessageStore,
    idempotency_key: IdempotencyKey | None,
    conversation_id: ObjectId,
    *,
    shows_message: bool,
) -> Idempotent[Appended] | None:
    """Return how the answer is recorded, and rendered for a repeat.

    Args:
        access: to the data of the conversation's owner.
        store: reads the stored messages.
        idempotency_key: the request's key, if it has one.
        conversation_id: the conversation's id.
        shows_message: whether the answer is the one message, so that a repeat fails if it was
            deleted.
    """
    if idempotency_key is None:
        return None

    async def replay(result: Raw, session: AsyncClientSession) -> Appended:
        conversation = await store.find_conversation_in(session, access, conversation_id)
        if conversation is None:
            raise NotFound("Conversation not found")
        # Read here, so that the answer and the audit entry agree.
        found = await find_messages(access, store, conversation, result["message_ids"], session)
        if shows_message and not not_deleted(found[:1]):
            raise MessageGone
        return Appended(
            messages=not_deleted(found),
            repeated=result["repeated"],
            total_messages=result["total_messages"],
            version=result["version"],
            updated_at=result["updated_at"],
        )

    return Idempotent(
        idempotency_key,
        to_record=lambda answer: {
            "conversation_id": conversation_id,
            "message_ids": [each.message["id"] for each in answer.messages],
            "repeated": answer.repeated,
            "total_messages": answer.total_messages,
            "version": answer.version,
            "updated_at": answer.updated_at,
        },
        replay=replay,
    )


async def add(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    wanted: MessageIn,
    idempotency_key: IdempotencyKey | None,
    shows_message: bool,
) -> Appended:
    """Store a message at the end, or in place of the last answer if it replaces one.

    Args:
        actor: the conversation's owner.
        commits: the queue that commits the change.
        conversation_id: the conversation's id.
        wanted: the message.
        idempotency_key: the request's key, if it has one.
        shows_message: whether the answer is the message alone, or else the conversation.

    Raises:
        NotFound, MessageIdTaken, TooLarge, NotLastAnswer: as `append` and `replace_last` do.
        StoredNotShown: the conversation was deleted since the message was stored.
    """
    more: dict[str, Any] = {"idempotency_key": idempotency_key, "shows_message": shows_message}
    if wanted.replaces is None:
        stored = await append(
            actor, commits, conversation_id=conversation_id, wanted=[wanted], **more
        )
    else:
        stored = await replace_last(
            actor, commits, conversation_id=conversation_id, wanted=wanted, **more
        )
    if shows_message:
        return stored
    access = await resolve(actor, conversation_id, Need.READ)
    try:
        shown = await read_back(access, commits.store, conversation_id=conversation_id)
    except NotFound:
        raise StoredNotShown from None
    return replace(stored, conversation=shown)


async def append(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    wanted: list[MessageIn],
    idempotency_key: IdempotencyKey | None = None,
    action: Action = Action.CONVERSATION_APPEND_MESSAGE,
    shows_message: bool = False,
) -> Appended:
    """Store messages at the end, all or none; known ids with the same content change nothing.

    Args:
        actor: the conversation's owner.
        commits: the queue that commits the change.
        conversation_id: the conversation's id.
        wanted: the messages.
        idempotency_key: the request's key, if it has one.
        action: the action to audit.
        shows_message: whether the answer is the one message, so that a repeat fails if that is
            gone.

    Raises:
        NotFound: the actor has no such conversation, or, in a repeat, the message was deleted.
        MessageIdTaken: another message has one of these ids.
        TooLarge: the messages are too large for one transaction.
        NotLastAnswer: the message to replace is not the last answer.
        UnknownParent: the parent of a message does not exist.
        ReplyUnderWay: it begins another branch while an answer is being written.
    """
    access, at = await resolve(actor, conversation_id, Need.WRITE), now()
    messages = sign(access, to_stored(wanted, at))
    size = await _check_size(messages)
    # Written to segments at once, as they would move there after being embedded.
    overflows = size > TAIL_BYTES

    def decide(working: WorkingCopy) -> Appended:
        working.check_exists()
        repeated = _find_repeated(working, wanted, messages)
        fresh = [message.copy() for message in messages if message["id"] not in repeated]
        first = working.fields["next_seq"]
        links = _link(working, wanted, fresh, repeated) if branches else None
        working.append(fresh, at, at, links)
        if overflows:
            working.move_overflow()
        working.beside += note_author(access, conversation_id, at)
        details: Raw = {"messages": len(fresh)} | ({"repeated": len(repeated)} if repeated else {})
        leaf: Raw = {"leaf_seq": working.fields["next_seq"] - 1} if links else {}
        entry = audit.entry(actor, action, conversation_id, details=details | leaf)
        working.outbox.record(entry, range(first, first + len(fresh)))
        return appended(working, [message["id"] for message in messages], len(repeated))

    given = frozenset(message.id for message in wanted if message.id is not None)
    branches = names_parent(wanted)
    change: Change[Appended] = Change(
        actor=actor,
        access=access,
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=given | parent_ids(wanted) if branches else given,
        needs_tail=branches or overflows,
        needs_last_segment=overflows,
        size=OVERHEAD + size,
        adds=len(messages),
        idempotent=idempotent_append(
            access, commits.store, idempotency_key, conversation_id, shows_message=shows_message
        ),
    )
    return await commits.submit(change)


async def _check_size(messages: list[MessageDoc]) -> int:
    """Return the BSON size of messages.

    Raises:
        TooLarge: they do not fit a transaction.
    """
    size = 0
    async for message in sliced(messages):
        size += size_of(message)
        if size > CARRIED_BYTES:
            raise TooLarge(f"A batch may have at most {CARRIED_BYTES // 1024**2} MB of messages.")
    return size


def _find_repeated(
    working: WorkingCopy, wanted: Sequence[MessageIn], messages: Sequence[MessageDoc]
) -> set[str]:
    repeated = set()
    for given, message in zip(wanted, messages, strict=True):
        known = working.find(message["id"])
        if known is None:
            continue
        if not _is_same(known.message, message) or not _follows(working, known, given):
            raise MessageIdTaken
        repeated.add(message["id"])
    return repeated


def _follows(working: WorkingCopy, known: StoredMessage, given: MessageIn) -> bool:
    """Whether a stored message has the parent that the request names, if it names one."""
    if "parent_id" not in given.model_fields_set:
        return True
    if "parent_id" in known.message:
        return known.message["parent_id"] == given.parent_id
    if given.parent_id is None:
        return known.seq == working.fields["first_seq"]
    parent = working.find(given.parent_id)
    return parent is not None and parent.seq == known.seq - 1


def _link(
    working: WorkingCopy,
    wanted: Sequence[MessageIn],
    fresh: Sequence[MessageDoc],
    repeated: set[str],
) -> list[Link]:
    """Return the links of the messages that are not yet stored.

    Raises:
        UnknownParent: a parent does not exist.
        ReplyUnderWay: they begin another branch while an answer is being written.
    """
    first = working.fields["first_seq"]

    def find(message_id: str) -> int | None:
        found = working.find(message_id)
        return None if found is None or is_deleted(found.message) else found.seq - first

    given = [each for each in wanted if each.id not in repeated]
    start = working.fields["next_seq"] - first
    links = link_parents(given, fresh, start, find, working.path.aside)
    before = next((link.parent for link in links if link.place == start), start - 1)
    outside = {before, *(link.parent for link in links if link.parent < start)}
    if fresh and outside != {working.path.leaf}:
        check_no_reply(working.fields)
    return links


def _is_same(known: MessageDoc, message: MessageDoc) -> bool:
    return all(known.get(name) == message.get(name) for name in ("role", "content", "parts"))


async def replace_last(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    wanted: MessageIn,
    idempotency_key: IdempotencyKey | None = None,
    shows_message: bool = False,
) -> Appended:
    """Put an answer in place of the last one, which is kept as a revision.

    The arguments are those of `append`.

    Raises:
        NotFound: the actor has no such conversation, or, in a repeat, the message was deleted.
        NotLastAnswer: `wanted.replaces` is not the last message, or no answer.
        MessageIdTaken: another answer with this id is in its place.
    """
    at, replaced = now(), wanted.replaces
    if replaced is None:
        raise NotLastAnswer
    access = await resolve(actor, conversation_id, Need.WRITE)
    message = sign(access, to_stored([wanted], at))[0]
    if wanted.id not in {None, replaced}:
        message["sent_id"] = wanted.id

    def decide(working: WorkingCopy) -> Appended:
        working.check_exists()
        is_repeated = wanted.id is not None and _has_replaced(working.find(replaced), message)
        if not is_repeated:
            working.replace_message(_last_answer(working, replaced), message.copy(), at)
            working.beside += note_author(access, conversation_id, at)
        details = {"repeated": 1} if is_repeated else None
        answer = appended(working, [replaced], int(is_repeated))
        action = Action.CONVERSATION_REPLACE_MESSAGE
        entry = audit.entry(actor, action, conversation_id, details=details)
        working.outbox.record(entry, place(answer.messages[0].seq, is_changed=not is_repeated))
        return answer

    change: Change[Appended] = Change(
        actor=actor,
        access=access,
        action=Action.CONVERSATION_REPLACE_MESSAGE,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=frozenset({replaced}),
        needs_tail=True,
        needs_last_not_deleted=True,
        size=estimate(message, message),
        idempotent=idempotent_append(
            access,
            commits.store,
            idempotency_key,
            conversation_id,
            shows_message=shows_message,
        ),
    )
    return await commits.submit(change)


def _last_answer(working: WorkingCopy, message_id: str) -> StoredMessage:
    """Return the last message, which must be the answer with this id.

    Raises:
        NotLastAnswer: it is another one, or no answer.
    """
    last = working.last_not_deleted()
    if last is None or last.message["id"] != message_id:
        raise NotLastAnswer
    if last.message["role"] != MessageRole.ASSISTANT:
        raise NotLastAnswer
    return last


def _has_replaced(stored: StoredMessage | None, message: MessageDoc) -> bool:
    """Whether this answer has already replaced the other one.

    Raises:
        MessageIdTaken: an answer with its id did, with other content.
    """
    if stored is None or stored.message.get("sent_id") != message.get("sent_id"):
        return False
    is_same = _is_same(stored.message, message)
    if not is_same and "sent_id" in message:
        raise MessageIdTaken
    return is_same
