"""Operations on a conversation's messages."""

from collections.abc import AsyncGenerator
from datetime import datetime

from bson import ObjectId

from chatvault.access import Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.models import Entry
from chatvault.audit.outbox import place
from chatvault.audit.recorder import Recorder
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.dates import read_since
from chatvault.conversations.preconditions import Precondition, version_of
from chatvault.conversations.reading import (
    MessagePage,
    find_message,
    read_after,
    read_before,
    read_consistently,
    read_offset,
    stream,
)
from chatvault.conversations.schemas import MessageEdit
from chatvault.conversations.shapes import ConversationDoc, RevisionDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import NotFound
from chatvault.fields import now


async def edit(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    message_id: str,
    wanted: MessageEdit,
    precondition: Precondition,
) -> StoredMessage:
    """Change a message, keeping the old one as a revision.

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
            access=await resolve(actor, conversation_id, Need.WRITE),
            action=Action.CONVERSATION_EDIT_MESSAGE,
            where=("_id", conversation_id),
            decide=decide,
            message_ids=frozenset({message_id}),
            needs_tail=True,
            # As it is afterwards, and as it was; either is as good an estimate.
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
    """Remove a message and its revisions; its id and its place are not reused.

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
            access=await resolve(actor, conversation_id, Need.WRITE),
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
    """Return one message and its place.

    Raises:
        NotFound: the actor has no such message.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    found = await find_message(access, store, conversation_id, message_id)
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
    """Return a message's versions before its edits, oldest first; none of an unknown message.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    found: list[RevisionDoc] = []
    if await find_message(access, store, conversation_id, message_id) is not None:
        found = await store.list_revisions(access, conversation_id, message_id)
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
        actor: the conversation's owner.
        store: reads the messages.
        recorder: stores the audit entry.
        conversation_id: the conversation's id.
        limit: at most so many messages.
        offset: how many to skip from the oldest, if there is no cursor.
        before: only places lower than this, the nearest ones.
        after: only places higher than this.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)

    async def read(conversation: ConversationDoc) -> MessagePage:
        if before is not None:
            return await read_before(access, store, conversation, before, limit)
        if after is not None:
            return await read_after(access, store, conversation, after, limit)
        return await read_offset(access, store, conversation, offset, limit)

    page = await read_consistently(access, store, conversation_id, read)
    await recorder.record(_page_entry(actor, conversation_id, page))
    return page


async def list_since(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    limit: int,
    since: datetime,
) -> MessagePage:
    """Return a page of messages from the first on that is not older than a time.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)

    async def read(conversation: ConversationDoc) -> MessagePage:
        return await read_since(access, store, conversation, since, limit)

    page = await read_consistently(access, store, conversation_id, read)
    await recorder.record(_page_entry(actor, conversation_id, page))
    return page


def _page_entry(actor: Actor, conversation_id: ObjectId, page: MessagePage) -> Entry:
    details = {"messages": len(page.messages)}
    return audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)


async def stream_all(
    actor: Actor, store: MessageStore, recorder: Recorder, *, conversation_id: ObjectId
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield all messages except deleted ones, in batches, with constant memory.

    The audit entry is stored before the first message is yielded.

    Raises:
        NotFound: the actor has no such conversation.
        Busy: they were replaced meanwhile, so that the rest cannot be read.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    conversation = await store.get_conversation(access, conversation_id)
    details = {"messages": conversation["total_messages"], "streamed": True}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)
    )
    return stream(access, store, conversation)
