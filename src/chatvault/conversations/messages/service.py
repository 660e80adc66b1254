"""Operations on a conversation's messages."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import place
from chatvault.audit.recorder import Recorder
from chatvault.conversations.authors import note_author, sign_again
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.holds import Holds
from chatvault.conversations.kept_pages import RenderedPage
from chatvault.conversations.preconditions import Precondition, version_of
from chatvault.conversations.reading.consistency import count_stored
from chatvault.conversations.reading.dates import read_since
from chatvault.conversations.reading.finding import find_message
from chatvault.conversations.reading.outline import Outline, read_around, read_outline
from chatvault.conversations.reading.pages import (
    MessagePage,
    PageRequest,
    read_after,
    read_before,
    read_consistently,
    read_offset,
    stream,
)
from chatvault.conversations.reading.rendering import render_page
from chatvault.conversations.reading.tree import add_parents
from chatvault.conversations.schemas import MessageEdit
from chatvault.conversations.shapes import ConversationDoc, RevisionDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.errors import NotFound
from chatvault.fields import now

# A place after all messages.
LATEST = 2**53


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
    access, at = await resolve(actor, conversation_id, Need.WRITE), now()

    def decide(working: WorkingCopy) -> StoredMessage:
        stored = _locate(working, message_id, precondition)
        if wanted.version is not None:
            Precondition(given=True, versions=frozenset({wanted.version})).check(
                stored.message.get("version", 1)
            )
        message = sign_again(access, wanted.apply_to(stored.message))
        edited = working.replace_message(stored, message, at)
        working.beside += note_author(access, conversation_id, at)
        entry = audit.entry(actor, Action.CONVERSATION_EDIT_MESSAGE, conversation_id)
        working.outbox.record(entry, place(edited.seq))
        return edited

    return await commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_EDIT_MESSAGE,
            where=("_id", conversation_id),
            decide=decide,
            message_ids=frozenset({message_id}),
            needs_tail=True,
            # The new and the old message; the new one is an estimate for both.
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

    access = await resolve(actor, conversation_id, Need.MANAGE)
    await commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_DELETE_MESSAGE,
            where=("_id", conversation_id),
            decide=decide,
            keeps=(await Holds.of(access)).cover(conversation_id),
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
    wanted: PageRequest,
) -> MessagePage:
    """Return a page of messages, oldest first, without the deleted ones.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    limit, whole = wanted.limit, wanted.whole

    async def read(conversation: ConversationDoc) -> MessagePage:
        where = access, store, conversation
        if wanted.since is not None:
            return await read_since(*where, wanted.since, limit)
        if wanted.around is not None:
            found = await read_around(*where, wanted.around, limit, whole=whole)
        elif wanted.before is not None:
            found = await read_before(*where, wanted.before, limit, whole=whole)
        elif wanted.after is not None:
            found = await read_after(*where, wanted.after, limit, whole=whole)
        else:
            found = await read_offset(*where, wanted.offset, limit, whole=whole)
        if whole:
            return replace(found, messages=await add_parents(*where, found.messages))
        return found

    page = await read_consistently(access, store, conversation_id, read)
    details = {"messages": len(page.messages)}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)
    )
    return page


async def show_newest(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    limit: int,
) -> RenderedPage:
    """Return the newest messages of the branch that is shown, as JSON.

    Those of a conversation that has not changed since are kept, and only its version is read.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    page = store.newest.find(access.owner_id, conversation_id, limit)
    if page is None or page.version != await store.find_version(access, conversation_id):
        page = await _render_newest(access, store, conversation_id, limit)
        store.newest.keep(access.owner_id, conversation_id, page)
    details = {"messages": page.count}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)
    )
    return page


async def _render_newest(
    access: Access, store: MessageStore, conversation_id: ObjectId, limit: int
) -> RenderedPage:
    async def read(conversation: ConversationDoc) -> MessagePage:
        return await read_before(access, store, conversation, LATEST, limit)

    return render_page(await read_consistently(access, store, conversation_id, read), limit)


async def outline(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    after: int,
    limit: int,
) -> Outline:
    """Return the user's messages after a place, each with its first words.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    found = await read_consistently(
        access,
        store,
        conversation_id,
        lambda conversation: read_outline(access, store, conversation, after, limit),
    )
    details = {"messages": len(found.headings)}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_OUTLINE, conversation_id, details=details)
    )
    return found


async def stream_all(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    whole: bool = False,
) -> AsyncGenerator[list[StoredMessage]]:
    """Yield all messages except deleted ones, in batches, with constant memory.

    With `whole` they are those of all branches, each with its `parent_id`.

    The audit entry is stored before the first message is yielded.

    Raises:
        NotFound: the actor has no such conversation.
        Busy: they were replaced meanwhile, so that the rest cannot be read.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    conversation = await store.get_conversation(access, conversation_id)
    count = count_stored(conversation) if whole else conversation["total_messages"]
    details = {"messages": count, "streamed": True}
    await recorder.record(
        audit.entry(actor, Action.CONVERSATION_LIST_MESSAGES, conversation_id, details=details)
    )
    runs = stream(access, store, conversation, whole=whole)
    return _with_parents(access, store, conversation, runs) if whole else runs


async def _with_parents(
    access: Access,
    store: MessageStore,
    conversation: ConversationDoc,
    runs: AsyncGenerator[list[StoredMessage]],
) -> AsyncGenerator[list[StoredMessage]]:
    async with aclosing(runs):
        async for run in runs:
            yield await add_parents(access, store, conversation, run)
