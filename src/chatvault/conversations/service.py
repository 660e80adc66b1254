"""Operations on conversations; changes go through the commit queue, and reads are audited."""

from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor, Scope
from chatvault.agents import service as agents
from chatvault.agents.models import AgentNotFound
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import all_places
from chatvault.audit.recorder import Recorder
from chatvault.conversations.categories import CategoryNotFound, check_category, hold_category
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.creation import idempotent, prepare, write_messages
from chatvault.conversations.grants import without_order
from chatvault.conversations.holds import Holds
from chatvault.conversations.models import Status
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.reading.listing import SURE_BYTES
from chatvault.conversations.reading.pages import ConversationView, read_consistently
from chatvault.conversations.reading.rendering import show
from chatvault.conversations.schemas import (
    ConversationCreate,
    ConversationPatch,
    ConversationUpdate,
)
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.conversations.templates import TemplateNotFound, fill_in
from chatvault.errors import Busy, InvalidInput, NotFound
from chatvault.fields import Raw, count_changed_keys, now
from chatvault.idempotency import IdempotencyKey, was_carried_out


class StartsWithReply(Protocol):
    """Starts a conversation whose first message is sent to its agent, in one step."""

    async def __call__(
        self,
        actor: Actor,
        *,
        wanted: ConversationCreate,
        content: str,
        idempotency_key: IdempotencyKey | None,
    ) -> ObjectId:
        """Start a conversation and its first reply; return the conversation's id."""


async def start_conversation(
    actor: Actor,
    commits: CommitQueue,
    start_with_reply: StartsWithReply,
    *,
    wanted: ConversationCreate,
    idempotency_key: IdempotencyKey | None,
) -> ConversationView:
    """Start a conversation, with a first reply if a message is to be sent; return it.

    Raises:
        TemplateNotFound: the actor has no such template.
        InvalidInput: a variable of the template is missing or unknown.
        AgentNotFound: the actor may use no such agent.
        CategoryNotFound: the actor has no such category.
        NotFound: this is a repeat, and the conversation was deleted.
        InsufficientScope: a message is to be sent, but the API key may not call models.
        ChatvaultError: any error of a reply, if a message is to be sent.
    """
    try:
        wanted = await fill_in(Access.of(actor), wanted)
    except (TemplateNotFound, InvalidInput):
        # A repeat succeeds even if the template was changed since the first attempt.
        if not await was_carried_out(actor, idempotency_key):
            raise
    if wanted.initial_message is None:
        begun = await create(actor, commits, wanted=wanted, idempotency_key=idempotency_key)
    else:
        actor.require_scope(Scope.AGENTS_RUN)
        begun = await start_with_reply(
            actor,
            wanted=wanted,
            content=wanted.initial_message,
            idempotency_key=idempotency_key,
        )
    return await read_back(Access.of(actor), commits.store, conversation_id=begun)


async def create(
    actor: Actor,
    commits: CommitQueue,
    *,
    wanted: ConversationCreate,
    idempotency_key: IdempotencyKey | None = None,
) -> ObjectId:
    """Create a conversation; return its id.

    Raises:
        AgentNotFound: the actor may use no such agent.
        CategoryNotFound: the actor has no such category.
        NotFound: this is a repeat, and the conversation was deleted.
    """
    try:
        await agents.find(actor, wanted.agent_id)
        await check_category(Access.of(actor), wanted.category_id)
    except (AgentNotFound, CategoryNotFound):
        # A repeat succeeds even if they were deleted since the first attempt.
        if not await was_carried_out(actor, idempotency_key):
            raise
    new = await prepare(actor, commits.store, wanted)
    return await commits.submit(
        Change(
            actor=actor,
            access=new.access,
            action=Action.CONVERSATION_CREATE,
            where=("_id", new.id),
            decide=new.insert,
            is_new=True,
            size=estimate(new.document, *new.messages.tail),
            adds=new.messages.length or None,
            written=new.messages.written,
            idempotent=idempotency_key and idempotent(new.access, idempotency_key),
        )
    )


async def get(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    with_messages: bool = True,
) -> ConversationView:
    """Return the conversation, with all its messages if they fit an answer, else with the newest.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    shown = await read_back(
        access, store, conversation_id=conversation_id, with_messages=with_messages
    )
    await recorder.record(audit.entry(actor, Action.CONVERSATION_GET, conversation_id))
    return shown


async def get_unless_known(
    actor: Actor,
    store: MessageStore,
    recorder: Recorder,
    *,
    conversation_id: ObjectId,
    known: Precondition,
    with_messages: bool = True,
) -> ConversationView | int:
    """Return the conversation, or its version alone if that is one of the known ones.

    Raises:
        NotFound: the actor has no such conversation.
    """
    if known.given:
        access = await resolve(actor, conversation_id, Need.READ)
        version = await store.find_version(access, conversation_id)
        if version is None:
            raise NotFound("Conversation not found")
        if known.versions is None or version in known.versions:
            await recorder.record(audit.entry(actor, Action.CONVERSATION_GET, conversation_id))
            return version
    return await get(
        actor, store, recorder, conversation_id=conversation_id, with_messages=with_messages
    )


async def read_back(
    access: Access, store: MessageStore, *, conversation_id: ObjectId, with_messages: bool = True
) -> ConversationView:
    """Return the conversation after a change by was. Writes no audit entry.

    Raises:
        NotFound: it has been deleted since.
    """
    if with_messages:
        read = partial(show, access, store)
        shown = await read_consistently(access, store, conversation_id, read)
    elif (found := await store.find_summary(access, conversation_id)) is not None:
        shown = ConversationView(found, [])
    else:
        raise NotFound("Conversation not found")
    if access.grantee_id is None:
        return shown
    return replace(shown, conversation=without_order(shown.conversation))


async def count(actor: Actor, store: MessageStore, recorder: Recorder) -> int:
    """Return how many conversations the actor has."""
    total = await store.count_conversations(Access.of(actor))
    await recorder.record(audit.entry(actor, Action.CONVERSATION_COUNT))
    return total


async def update(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    wanted: ConversationUpdate | ConversationPatch,
    precondition: Precondition,
) -> int:
    """Change the named fields; return the new version.

    Args:
        actor: the conversation's owner.
        commits: the queue that commits the change.
        conversation_id: the conversation's id.
        wanted: values to replace, or a patch to merge.
        precondition: the required version; messages of a conversation longer than one answer are
            replaced only with one.

    Raises:
        NotFound: the actor has no such conversation.
        CategoryNotFound: the actor has no such category.
        StaleVersion: it has another version.
        PreconditionRequired: the messages are too many for a replacement without If-Match.
        InvalidInput: the merged metadata would be too large.
        UnknownParent: the parent of a message is not an earlier message.
    """
    access, at = await resolve(actor, conversation_id, Need.MANAGE), now()
    await _check_named(actor, access, wanted)
    new = await write_messages(access, commits.store, wanted.messages or [], at)
    keeps = wanted.messages is not None and (await Holds.of(access)).cover(conversation_id)

    def decide(working: WorkingCopy) -> int:
        fields = working.fields
        precondition.check(fields["version"])
        if wanted.messages is not None and fields["message_bytes"] > SURE_BYTES:
            precondition.require()
        changes = wanted.fields(fields.get("metadata", {}), at)
        details = _details(wanted, fields, changes)
        if "status" in changes:
            changes["archived_at"] = at if changes["status"] == Status.ARCHIVED else None
        if changes:
            working.beside += hold_category(access, fields, changes)
            working.set(at, **changes)
        if wanted.messages is not None:
            working.replace_messages(new.generation, at)
            working.append([message.copy() for message in new.tail], at, at, new.links)
            details["messages"] = new.length
        entry = audit.entry(actor, Action.CONVERSATION_UPDATE, conversation_id, details=details)
        places = None if wanted.messages is None else all_places(working.fields)
        working.outbox.record(entry, places, replaced=wanted.messages is not None)
        return working.fields["version"]

    change = Change(
        actor=actor,
        access=access,
        action=Action.CONVERSATION_UPDATE,
        where=("_id", conversation_id),
        decide=decide,
        needs_tail=keeps,
        keeps=keeps,
        needs_metadata="metadata" in wanted.model_fields_set,
        size=estimate(wanted.model_dump(exclude={"messages"}, exclude_unset=True), *new.tail),
        adds=new.length or None,
        written=new.written,
    )
    return await _submit_into(commits, change, wanted.category_id)


async def _check_named(
    actor: Actor, access: Access, wanted: ConversationUpdate | ConversationPatch
) -> None:
    """Check that there are the category and the agent that a change names.

    Raises:
        CategoryNotFound: the actor has no such category.
        AgentNotFound: the actor may use no such agent.
    """
    await check_category(access, wanted.category_id)
    if isinstance(wanted, ConversationPatch) and wanted.agent_id is not None:
        await agents.find(actor, wanted.agent_id)


async def _submit_into(
    commits: CommitQueue, change: Change[int], category_id: ObjectId | None
) -> int:
    """Submit a change that may put a conversation into a category.

    Raises:
        CategoryNotFound: the category was removed at the same time.
    """
    try:
        return await commits.submit(change)
    except Busy:
        await check_category(change.access, category_id)
        raise


def _details(
    wanted: ConversationUpdate | ConversationPatch, fields: ConversationDoc, changes: Raw
) -> Raw:
    """Return the details of the audit entry: names of fields, and how many keys changed."""
    details: Raw = {"fields": sorted(wanted.model_fields_set)}
    if "metadata" in changes:
        # It is only read if it is changed.
        before = fields.get("metadata", {})
        details["metadata_keys_changed"] = count_changed_keys(before, changes["metadata"])
    return details


async def update_and_show(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    wanted: ConversationUpdate | ConversationPatch,
    precondition: Precondition,
    with_messages: bool = True,
) -> ConversationView:
    """Change the named fields, as `update` does; return the conversation."""
    change: dict[str, Any] = {"wanted": wanted, "precondition": precondition}
    await update(actor, commits, conversation_id=conversation_id, **change)
    access = await resolve(actor, conversation_id, Need.READ)
    return await read_back(
        access, commits.store, conversation_id=conversation_id, with_messages=with_messages
    )


async def archive(
    actor: Actor,
    commits: CommitQueue,
    *,
    conversation_id: ObjectId,
    archived: bool,
    precondition: Precondition,
    idempotency_key: IdempotencyKey | None = None,
    with_messages: bool = True,
) -> ConversationView:
    """Archive a conversation, or restore it from the archive; return it.

    Raises:
        NotFound: the actor has no such conversation.
        StaleVersion: it has another version.
    """
    access, at = await resolve(actor, conversation_id, Need.MANAGE), now()

    def decide(working: WorkingCopy) -> ObjectId:
        precondition.check(working.fields["version"])
        status = Status.ARCHIVED if archived else Status.ACTIVE
        if working.fields["status"] != status:
            working.set(at, status=status.value, archived_at=at if archived else None)
        details = {"archived": archived}
        working.outbox.record(
            audit.entry(actor, Action.CONVERSATION_ARCHIVE, conversation_id, details=details)
        )
        return conversation_id

    await commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_ARCHIVE,
            where=("_id", conversation_id),
            decide=decide,
            idempotent=idempotency_key and idempotent(access, idempotency_key),
        )
    )
    return await read_back(
        access, commits.store, conversation_id=conversation_id, with_messages=with_messages
    )
