"""Making a conversation from a branch of another one."""

from collections.abc import Sequence
from typing import cast

from beanie import Document
from bson import ObjectId
from pymongo import InsertOne

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.attachments.files import hold
from chatvault.attachments.models import Attachment
from chatvault.audit.actions import Action
from chatvault.conversations.commits.bulk import write_generation
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.creation import NewConversation, PreparedMessages, idempotent
from chatvault.conversations.models import Conversation
from chatvault.conversations.reading.pages import ConversationView, read_consistently
from chatvault.conversations.service import read_back
from chatvault.conversations.shapes import ConversationDoc, MessageDoc
from chatvault.fields import Raw, now
from chatvault.forking.branch import read_branch
from chatvault.forking.queue import ForkQueue
from chatvault.forking.schemas import ForkIn
from chatvault.idempotency import (
    IdempotencyKey,
    Idempotent,
    answer_repeat,
    key_lock,
    was_carried_out,
)

FORKED_FROM = "forked_from"


async def fork(
    actor: Actor,
    commits: CommitQueue,
    queue: ForkQueue,
    *,
    conversation_id: ObjectId,
    wanted: ForkIn,
    idempotency_key: IdempotencyKey | None = None,
) -> ConversationView:
    """Make a conversation of the actor's own from a branch of another one; return it.

    Raises:
        NotFound: there is no such conversation or message, or this is a repeat and it is gone.
        TooLarge: the branch has too many messages.
        KeyReused: the key came with another request.
        Throttled: the user made too many forks in this minute.
    """
    own = Access.of(actor)
    known = idempotency_key and idempotent(own, idempotency_key)
    async with key_lock(actor, idempotency_key):
        if known and await was_carried_out(actor, idempotency_key):
            made = await answer_repeat(actor, Action.CONVERSATION_FORK, known)
            return await read_back(own, commits.store, conversation_id=made)
        async with queue.take(actor):
            made = await _copy(actor, commits, conversation_id, wanted, known)
    return await read_back(own, commits.store, conversation_id=made)


async def _copy(
    actor: Actor,
    commits: CommitQueue,
    conversation_id: ObjectId,
    wanted: ForkIn,
    known: Idempotent[ObjectId] | None,
) -> ObjectId:
    """Store the fork; return its id."""
    access = await resolve(actor, conversation_id, Need.MANAGE)

    async def read(found: ConversationDoc) -> tuple[ConversationDoc, list[MessageDoc]]:
        branch = {"up_to": wanted.up_to, "leaf": wanted.leaf}
        return found, await read_branch(access, commits.store, found, **branch)

    source, messages = await read_consistently(access, commits.store, conversation_id, read)
    new = await _prepare(actor, commits, source, messages, wanted)
    attachments = await _copy_attachments(access, conversation_id, new.id, messages)

    def decide(working: WorkingCopy) -> ObjectId:
        new.insert(working, Action.CONVERSATION_FORK)
        working.beside += attachments
        return new.id

    return await commits.submit(
        Change(
            actor=actor,
            access=Access.of(actor),
            action=Action.CONVERSATION_FORK,
            where=("_id", new.id),
            decide=decide,
            is_new=True,
            size=estimate(new.document, *new.messages.tail),
            adds=0,
            written=new.messages.written,
            idempotent=known,
        )
    )


async def _prepare(
    actor: Actor,
    commits: CommitQueue,
    source: ConversationDoc,
    messages: list[MessageDoc],
    wanted: ForkIn,
) -> NewConversation:
    """Prepare the conversation; if it has many messages, write them to segments."""
    access, at = Access.of(actor), now()
    generation, tail = await write_generation(access, commits.store, messages)
    link: Raw = {"conversation_id": str(source["_id"])}
    if messages:
        link["message_id"] = messages[-1]["id"]
    document = Conversation.begin(
        access,
        title=wanted.title or source["title"],
        tags=source["tags"],
        metadata={**source.get("metadata", {}), FORKED_FROM: link},
        at=at,
        agent_id=source.get("agent_id"),
        system_prompt=source.get("system_prompt"),
        mcp_enabled=source.get("mcp_enabled", False),
        category_id=source.get("category_id"),
    )
    return NewConversation(
        actor=actor,
        access=access,
        document=document,
        messages=PreparedMessages(generation, tail, len(messages)),
        at=at,
    )


async def _copy_attachments(
    access: Access, source_id: ObjectId, new_id: ObjectId, messages: Sequence[MessageDoc]
) -> list[tuple[type[Document], InsertOne[Raw]]]:
    """Return the statements that store what is known of the files that the messages show.

    The bytes stay where they are, and are kept until the statements are carried out.
    """
    shown = {
        cast("Raw", part)["attachment_id"]
        for message in messages
        for part in message.get("parts", ())
        if "attachment_id" in part
    }
    if not shown:
        return []
    query = Attachment.owned_by(
        access, conversation_id=source_id, attachment_id={"$in": sorted(shown)}
    )
    found = await Attachment.get_pymongo_collection().find(query).to_list()
    held = await hold(access, [each["file"] for each in found if each.get("file")])
    copies: list[tuple[type[Document], InsertOne[Raw]]] = []
    for each in found:
        copy = {**each, "_id": ObjectId(), "conversation_id": new_id}
        if each.get("file") and each["file"] not in held:
            copy |= {"file": None, "state": "absent"}
        copies.append((Attachment, InsertOne(copy)))
    return copies
