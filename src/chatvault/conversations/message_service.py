"""What can be done with a conversation's messages."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import place
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.bulk import CARRIED_BYTES
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.models import Conversation, MessageRole
from chatvault.conversations.preconditions import Precondition, version_of
from chatvault.conversations.reading import (
    ConversationView,
    MessagePage,
    find_message,
    find_messages,
    not_deleted,
    read_after,
    read_before,
    read_consistently,
    read_offset,
    stream,
)
from chatvault.conversations.schemas import MessageEdit, MessageIn, to_stored
from chatvault.conversations.segments import Segment, size_of
from chatvault.conversations.service import BESIDE, estimate, read_back
from chatvault.conversations.shapes import ConversationDoc, MessageDoc, RevisionDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import MessageIdTaken, NotFound, NotLastAnswer, TooLarge
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent
from chatvault.slices import sliced


class MessageGone(NotFound):
    """The message was stored, and is gone since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became of an append.

    Attributes:
        messages: as they are stored, with their places; in a repeat, those that are not deleted.
        repeated: how many of them were there already.
        conversation: as it is then, where that is to be shown.
    """

    messages: list[StoredMessage]
    repeated: int
    total_messages: int
    version: int
    updated_at: datetime
    conversation: ConversationView | None = None


def appended(working: WorkingCopy, ids: list[str], repeated: int) -> Appended:
    """The answer to a change that the draft has taken in."""
    fields = working.fields
    return Appended(
        messages=[found for message_id in ids if (found := working.find(message_id))],
        repeated=repeated,
        total_messages=fields["total_messages"],
        version=fields["version"],
        updated_at=fields["updated_at"],
    )


def idempotent_append(
    actor: Actor,
    store: MessageStore,
    idempotency_key: IdempotencyKey | None,
    conversation_id: ObjectId,
    *,
    shows_message: bool,
) -> Idempotent[Appended] | None:
    """How the answer is given again.

    Args:
        actor: whose conversation it is.
        store: reads what was stored then.
        idempotency_key: the request's key, if it has one.
        conversation_id: which conversation.
        shows_message: the answer is the one message, so there is none where it is gone.
    """
    if idempotency_key is None:
        return None

    async def replay(result: Raw, session: AsyncClientSession) -> Appended:
        conversation = await store.find_conversation_in(session, actor, conversation_id)
        if conversation is None:
            raise NotFound("Conversation not found")
        # Read here, so that what is answered and what is recorded are the same.
        found = await find_messages(actor, store, conversation, result["message_ids"], session)
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


async def message_exists(
    actor: Actor, fields: ConversationDoc, message_id: str, session: AsyncClientSession
) -> bool:
    """Whether a message stands in the conversation, read in a repeat's transaction."""
    is_it = {"$elemMatch": {"id": message_id, "deleted": {"$ne": True}}}
    embedded = Conversation.owned_by(actor, _id=fields["_id"], messages=is_it)
    if await Conversation.get_pymongo_collection().count_documents(embedded, session=session):
        return True
    older = Segment.owned_by(actor, generation=fields["generation"], messages=is_it)
    return bool(await Segment.get_pymongo_collection().count_documents(older, session=session))


async def add(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    wanted: MessageIn,
    idempotency_key: IdempotencyKey | None,
    shows_message: bool,
) -> Appended:
    """Store a message at the end, or in the place of the last answer that it replaces.

    Args:
        actor: whose conversation it must be.
        commits: takes the change.
        conversation_id: which one.
        wanted: the message.
        idempotency_key: the request's key, if it has one.
        shows_message: the answer is the message alone; else it is the conversation.

    Raises:
        NotFound, MessageIdTaken, TooLarge, NotLastAnswer: as `append` and `replace_last` do.
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
    shown = await read_back(actor, commits.store, conversation_id=conversation_id)
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
    """Store messages at the end, all or none; the same ids with the same words change nothing.

    Args:
        actor: whose conversation it must be.
        commits: takes the change.
        conversation_id: which one.
        wanted: the messages.
        idempotency_key: the request's key, if it has one.
        action: as what it is audited.
        shows_message: the one message is the answer, so that a repeat fails where it is gone.

    Raises:
        NotFound: the actor has no such conversation, or, in a repeat, not what was stored then.
        MessageIdTaken: another message has one of these ids.
        TooLarge: the messages are more than one step can carry.
        NotLastAnswer: what shall be replaced is not the last answer.
    """
    at = now()
    messages = to_stored(wanted, at)
    size = 0
    async for message in sliced(messages):
        size += size_of(message)
        if size > CARRIED_BYTES:
            raise TooLarge(f"A batch may have at most {CARRIED_BYTES // 1024**2} MB of messages.")

    def decide(working: WorkingCopy) -> Appended:
        working.check_exists()
        repeated = _find_repeated(working, messages)
        fresh = [message.copy() for message in messages if message["id"] not in repeated]
        first = working.fields["next_seq"]
        working.append(fresh, at, at)
        details: dict[str, Any] = {"messages": len(fresh)}
        if repeated:
            details["repeated"] = len(repeated)
        entry = audit.entry(actor, action, conversation_id, details=details)
        working.outbox.record(entry, range(first, first + len(fresh)))
        return appended(working, [message["id"] for message in messages], len(repeated))

    given = frozenset(message.id for message in wanted if message.id is not None)
    change: Change[Appended] = Change(
        actor=actor,
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=given,
        size=BESIDE + size,
        idempotent=idempotent_append(
            actor,
            commits.store,
            idempotency_key,
            conversation_id,
            shows_message=shows_message,
        ),
    )
    return await commits.submit(change)


def _find_repeated(working: WorkingCopy, messages: list[MessageDoc]) -> set[str]:
    repeated = set()
    for message in messages:
        known = working.find(message["id"])
        if known is None:
            continue
        if not _is_same(known.message, message):
            raise MessageIdTaken
        repeated.add(message["id"])
    return repeated


def _is_same(known: MessageDoc, message: MessageDoc) -> bool:
    return all(known.get(name) == message.get(name) for name in ("role", "content"))


async def replace_last(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    wanted: MessageIn,
    idempotency_key: IdempotencyKey | None = None,
    shows_message: bool = False,
) -> Appended:
    """Put an answer in the place of the last one, which is kept as a revision.

    The arguments are those of `append`.

    Raises:
        NotFound: the actor has no such conversation, or, in a repeat, not what was stored then.
        NotLastAnswer: what `wanted.replaces` names is not the last message, or no answer.
        MessageIdTaken: another answer with this id stands there.
    """
    at, replaced = now(), wanted.replaces
    if replaced is None:
        raise NotLastAnswer
    message = to_stored([wanted], at)[0]
    if wanted.id not in {None, replaced}:
        message["sent_id"] = wanted.id

    def decide(working: WorkingCopy) -> Appended:
        working.check_exists()
        is_repeated = wanted.id is not None and _stands_there(working.find(replaced), message)
        if not is_repeated:
            working.replace_message(_last_answer(working, replaced), message.copy(), at)
        details = {"repeated": 1} if is_repeated else None
        answer = appended(working, [replaced], int(is_repeated))
        action = Action.CONVERSATION_REPLACE_MESSAGE
        entry = audit.entry(actor, action, conversation_id, details=details)
        working.outbox.record(entry, place(answer.messages[0].seq, is_changed=not is_repeated))
        return answer

    change: Change[Appended] = Change(
        actor=actor,
        action=Action.CONVERSATION_REPLACE_MESSAGE,
        where=("_id", conversation_id),
        decide=decide,
        message_ids=frozenset({replaced}),
        needs_tail=True,
        needs_last_not_deleted=True,
        size=estimate(message, message),
        idempotent=idempotent_append(
            actor,
            commits.store,
            idempotency_key,
            conversation_id,
            shows_message=shows_message,
        ),
    )
    return await commits.submit(change)


def _last_answer(working: WorkingCopy, message_id: str) -> StoredMessage:
    """Return the last message.

    Raises:
        NotLastAnswer: it is another one, or no answer.
    """
    last = working.last_not_deleted()
    if last is None or last.message["id"] != message_id:
        raise NotLastAnswer
    if last.message["role"] != MessageRole.ASSISTANT:
        raise NotLastAnswer
    return last


def _stands_there(stored: StoredMessage | None, message: MessageDoc) -> bool:
    """Whether this very answer took the place before.

    Raises:
        MessageIdTaken: one with its id did, and says something else.
    """
    if stored is None or stored.message.get("sent_id") != message.get("sent_id"):
        return False
    is_same = _is_same(stored.message, message)
    if not is_same and "sent_id" in message:
        raise MessageIdTaken
    return is_same


async def edit(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    message_id: str,
    wanted: MessageEdit,
    precondition: Precondition,
) -> StoredMessage:
    """Change a message; what it was is kept as a revision.

    Raises:
        NotFound: the actor has no such message.
        StaleVersion: it has another version.
    """
    at = now()

    def decide(working: WorkingCopy) -> StoredMessage:
        stored = _locate(working, message_id, precondition)
        if wanted.version is not None:
            Precondition(given=True, versions=frozenset({wanted.version})).check(
                stored.message.get("version", 1)
            )
        edited = working.replace_message(stored, wanted.apply_to(stored.message), at)
        entry = audit.entry(actor, Action.CONVERSATION_EDIT_MESSAGE, conversation_id)
        working.outbox.record(entry, place(edited.seq))
        return edited

    return await commits.submit(
        Change(
            actor=actor,
            action=Action.CONVERSATION_EDIT_MESSAGE,
            where=("_id", conversation_id),
            decide=decide,
            message_ids=frozenset({message_id}),
            needs_tail=True,
            # As it is then, and as it was; of which this is as good a guess as any.
            size=estimate(*[wanted.model_dump(exclude_unset=True)] * 2),
        )
    )


async def remove(
    actor: Actor,
    commits: CommitQueue,
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

    def decide(working: WorkingCopy) -> None:
        stored = _locate(working, message_id, precondition)
        working.remove_message(stored, at)
        entry = audit.entry(actor, Action.CONVERSATION_DELETE_MESSAGE, conversation_id)
        working.outbox.record(entry, place(stored.seq))

    await commits.submit(
        Change(
            actor=actor,
            action=Action.CONVERSATION_DELETE_MESSAGE,
            where=("_id", conversation_id),
            decide=decide,
            message_ids=frozenset({message_id}),
            needs_tail=True,
        )
    )


def _locate(working: WorkingCopy, message_id: str, precondition: Precondition) -> StoredMessage:
    working.check_exists()
    stored = working.locate(message_id)
    precondition.check(version_of(stored))
    return stored


async def get(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    message_id: str,
) -> StoredMessage:
    """One message and its place.

    Raises:
        NotFound: the actor has no such message.
    """
    found = await find_message(actor, store, conversation_id, message_id)
    if found is None:
        raise NotFound("Message not found")
    await recorder.record(audit.entry(actor, Action.CONVERSATION_GET_MESSAGE, conversation_id))
    return found


async def list_revisions(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    message_id: str,
) -> list[RevisionDoc]:
    """What a message was before its edits, oldest first; nothing of one that is not there.

    Raises:
        NotFound: the actor has no such conversation.
    """
    found: list[RevisionDoc] = []
    if await find_message(actor, store, conversation_id, message_id) is not None:
        found = await store.list_revisions(actor, conversation_id, message_id)
    await recorder.record(audit.entry(actor, Action.CONVERSATION_LIST_REVISIONS, conversation_id))
    return found


async def list_page(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    limit: int,
    offset: int,
    before: int | None,
    after: int | None,
) -> MessagePage:
    """Return a page of messages, oldest first, without the deleted ones.

    Args:
        actor: whose conversation it must be.
        store: reads the messages.
        recorder: takes the entry.
        conversation_id: which one.
        limit: at most so many messages.
        offset: how many to pass over from the oldest, where no cursor is given.
        before: only places lower than this, nearest first chosen.
        after: only places higher than this.

    Raises:
        NotFound: the actor has no such conversation.
    """

    async def read(conversation: ConversationDoc) -> MessagePage:
        if before is not None:
            return await read_before(actor, store, conversation, before, limit)
        if after is not None:
            return await read_after(actor, store, conversation, after, limit)
        return await read_offset(actor, store, conversation, offset, limit)

    page = await read_consistently(actor, store, conversation_id, read)
    details = {"messages": len(page.messages)}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)
    )
    return page


async def stream_all(
    actor: Actor, store: MessageStore, recorder: Recorder, *, conversation_id: ObjectId
) -> AsyncGenerator[list[StoredMessage]]:
    """Return all messages, run by run, at constant memory, without the deleted ones.

    The entry is recorded before the first message leaves.

    Raises:
        NotFound: the actor has no such conversation.
        Busy: they were replaced meanwhile, so that the rest cannot be given.
    """
    conversation = await store.get_conversation(actor, conversation_id)
    details = {"messages": conversation["total_messages"], "streamed": True}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)
    )
    return stream(actor, store, conversation)
