"""Operations on the trash: put conversations there, restore them, delete them permanently."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import all_places
from chatvault.audit.recorder import Recorder
from chatvault.conversations.bulk.turns import STEP, BulkTurns
from chatvault.conversations.categories import Categories
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.creation import idempotent
from chatvault.conversations.holds import Holds, UnderHold
from chatvault.conversations.models import Conversation
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.reading.pages import ConversationView
from chatvault.conversations.service import read_back
from chatvault.conversations.tombstones import Tombstone
from chatvault.conversations.trash.queries import find_trashed, list_trashed
from chatvault.errors import NotFound
from chatvault.fields import now
from chatvault.idempotency import IdempotencyKey
from chatvault.keys import SecretKey
from chatvault.mongodb.database import many_changes

# The most conversations that one request deletes from the trash.
MAX_EMPTIED = 1000
PASSED_OVER = (NotFound, UnderHold)
ANY_VERSION = Precondition()
INTERRUPTED = "Some of the conversations are deleted, and some may not be; repeat it."


@dataclass(frozen=True, slots=True)
class TrashDeps:
    """The dependencies of the trash.

    Attributes:
        commits: the queue that commits changes.
        recorder: stores audit entries of operations on many conversations.
        key: the key with which sources of imports are hashed.
        days: how long a conversation stays in the trash; with 0, deletions are permanent.
        turns: limits how many changes of operations on many conversations wait at a time.
    """

    commits: CommitQueue
    recorder: Recorder
    key: SecretKey
    days: int
    turns: BulkTurns


class _Which(TypedDict):
    """A conversation, and its required version."""

    conversation_id: ObjectId
    precondition: Precondition


async def delete(
    actor: Actor,
    deps: TrashDeps,
    *,
    conversation_id: ObjectId,
    precondition: Precondition = ANY_VERSION,
    permanent: bool = False,
) -> None:
    """Put a conversation into the trash, or delete it and its messages permanently.

    A later import leaves it out.

    Args:
        actor: the conversation's owner.
        deps: the dependencies of the trash.
        conversation_id: the conversation's id.
        precondition: the required version.
        permanent: whether to delete it permanently, also if it is in the trash.

    Raises:
        NotFound: the actor has no such conversation.
        StaleVersion: it has another version.
        UnderHold: it is to be deleted permanently, and a legal hold keeps it.
    """
    which: _Which = {"conversation_id": conversation_id, "precondition": precondition}
    if permanent:
        await purge(actor, deps, **which)
        return
    access = await resolve(actor, conversation_id, Need.MANAGE)
    if deps.days == 0 and not (await Holds.of(access)).cover(conversation_id):
        await _delete(actor, deps, access, **which)
    else:
        await trash(actor, deps, **which)


async def trash(
    actor: Actor,
    deps: TrashDeps,
    *,
    conversation_id: ObjectId,
    precondition: Precondition = ANY_VERSION,
    untouched_since: datetime | None = None,
) -> None:
    """Put a conversation into the trash; its messages stay as they are.

    Args:
        actor: the conversation's owner.
        deps: the dependencies of the trash.
        conversation_id: the conversation's id.
        precondition: the required version.
        untouched_since: the last change must lie before this time, and it must not be pinned.

    Raises:
        NotFound: the actor has no such conversation, or it is not as required.
        StaleVersion: it has another version.
    """

    def decide(working: WorkingCopy) -> None:
        fields, at = working.fields, now()
        precondition.check(fields["version"])
        if untouched_since is not None and (
            fields["updated_at"] >= untouched_since or fields.get("pinned_at") is not None
        ):
            raise NotFound("Conversation not found")
        tombstone = Tombstone.insertion_of(working.access, deps.key, fields, at)
        working.trash(at)
        working.beside.append((Tombstone, tombstone))
        details = None if untouched_since is None else {"retention": True}
        action = Action.CONVERSATION_TRASH
        entry = audit.entry(actor, action, conversation_id, details=details)
        working.outbox.record(entry, deleted=True)

    await deps.commits.submit(
        Change(
            actor=actor,
            access=await resolve(actor, conversation_id, Need.MANAGE),
            action=Action.CONVERSATION_TRASH,
            where=("_id", conversation_id),
            decide=decide,
        )
    )


async def restore(
    actor: Actor,
    deps: TrashDeps,
    *,
    conversation_id: ObjectId,
    precondition: Precondition = ANY_VERSION,
    idempotency_key: IdempotencyKey | None = None,
) -> bool:
    """Take a conversation out of the trash; return whether it was there.

    Raises:
        NotFound: the actor has no such conversation, in the trash or elsewhere.
        StaleVersion: it has another version.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    source, category_id = await _find_place(access, conversation_id)
    was_in_trash = False

    def decide(working: WorkingCopy) -> ObjectId:
        nonlocal was_in_trash
        precondition.check(working.fields["version"])
        was_in_trash = working.in_trash
        if was_in_trash:
            working.restore(now(), source, category_id)
            tombstone = Tombstone.deletion_of(working.access, conversation_id)
            working.beside.append((Tombstone, tombstone))
        entry = audit.entry(actor, Action.CONVERSATION_RESTORE, conversation_id)
        places = all_places(working.fields) if was_in_trash else None
        working.outbox.record(entry, places, replaced=was_in_trash)
        return conversation_id

    await deps.commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_RESTORE,
            where=("_id", conversation_id),
            decide=decide,
            sees_trash=True,
            idempotent=idempotency_key and idempotent(access, idempotency_key),
        )
    )
    return was_in_trash


async def restore_and_show(
    actor: Actor,
    deps: TrashDeps,
    *,
    conversation_id: ObjectId,
    precondition: Precondition,
    idempotency_key: IdempotencyKey | None,
    with_messages: bool,
) -> ConversationView:
    """Take a conversation out of the trash, as `restore` does; return it."""
    await restore(
        actor,
        deps,
        conversation_id=conversation_id,
        precondition=precondition,
        idempotency_key=idempotency_key,
    )
    access = await resolve(actor, conversation_id, Need.READ)
    return await read_back(
        access, deps.commits.store, conversation_id=conversation_id, with_messages=with_messages
    )


async def _find_place(
    access: Access, conversation_id: ObjectId
) -> tuple[str | None, ObjectId | None]:
    """Return the source and the category that a restored conversation can have again."""
    found = await find_trashed(access, conversation_id)
    if found is None:
        return None, None
    source, category_id = found.get("trashed_source"), found.get("category_id")
    if source is not None and (await Conversation.get_import(access, source, None))[0] is not None:
        source = None
    if category_id is not None:
        known = {each["id"] for each in await Categories.list_raw(access)}
        category_id = category_id if category_id in known else None
    return source, category_id


async def purge(
    actor: Actor,
    deps: TrashDeps,
    *,
    conversation_id: ObjectId,
    precondition: Precondition = ANY_VERSION,
) -> None:
    """Delete a conversation and its messages permanently, in the trash or elsewhere.

    Raises:
        NotFound: the actor has no such conversation.
        StaleVersion: it has another version.
        UnderHold: a legal hold keeps it.
    """
    access = await resolve(actor, conversation_id, Need.MANAGE)
    await _delete(
        actor,
        deps,
        access,
        conversation_id=conversation_id,
        precondition=precondition,
        is_held=(await Holds.of(access)).cover(conversation_id),
    )


async def _delete(
    actor: Actor,
    deps: TrashDeps,
    access: Access,
    *,
    conversation_id: ObjectId,
    precondition: Precondition = ANY_VERSION,
    is_held: bool = False,
    trashed_before: datetime | None = None,
) -> None:
    """Delete a conversation permanently.

    Args:
        actor: the conversation's owner, or the background work in their name.
        deps: the dependencies of the trash.
        access: to the owner's data.
        conversation_id: the conversation's id.
        precondition: the required version.
        is_held: whether a legal hold keeps it.
        trashed_before: it must have been put into the trash until then.

    Raises:
        NotFound: there is no such conversation.
        StaleVersion: it has another version.
        UnderHold: a legal hold keeps it.
    """

    def decide(working: WorkingCopy) -> None:
        fields, is_trashed = working.fields, working.in_trash
        deleted_at = fields.get("deleted_at")
        if trashed_before is not None and (deleted_at is None or deleted_at > trashed_before):
            raise NotFound("Conversation not found")
        precondition.check(fields["version"])
        if is_held:
            raise UnderHold
        if not is_trashed:
            # One in the trash has a tombstone, whose time is that of the deletion.
            tombstone = Tombstone.insertion_of(working.access, deps.key, fields, now())
            working.beside.append((Tombstone, tombstone))
        working.delete()
        action = Action.CONVERSATION_PURGE if is_trashed else Action.CONVERSATION_DELETE
        working.outbox.record(audit.entry(actor, action, conversation_id))

    await deps.commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_DELETE,
            where=("_id", conversation_id),
            decide=decide,
            sees_trash=True,
        )
    )


async def change_each(
    actor: Actor,
    deps: TrashDeps,
    ids: Sequence[ObjectId],
    change: Callable[[ObjectId], Awaitable[None]],
) -> int:
    """Change each conversation that exists, some at a time; return how many were changed.

    What a legal hold keeps is left out.

    Raises:
        Busy: other operations of the owner's took too long.
        OutcomeUnknown: MongoDB went away, or the turn did not come, after some of them.
    """
    owner_id, done = Access.of(actor).owner_id, 0
    with many_changes(INTERRUPTED):
        for start in range(0, len(ids), STEP):
            async with deps.turns.step(owner_id):
                some = map(change, ids[start : start + STEP])
                outcomes = await asyncio.gather(*some, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not isinstance(outcome, PASSED_OVER):
                    raise outcome
            done += outcomes.count(None)
    return done


async def delete_all(actor: Actor, deps: TrashDeps) -> int:
    """Delete every conversation that the actor has now, as `delete` does; return how many.

    The transactions are bounded, with an audit entry for each conversation: after a crash some are
    deleted and audited, and a repeat deletes the rest.
    """
    ids = await Conversation.list_ids(Access.of(actor))
    deleted = await change_each(
        actor, deps, ids, lambda each: delete(actor, deps, conversation_id=each)
    )
    details = {"conversations": deleted}
    await deps.recorder.record(audit.entry(actor, Action.CONVERSATION_DELETE_ALL, details=details))
    return deleted


async def empty(actor: Actor, deps: TrashDeps) -> tuple[int, bool]:
    """Delete what is in the trash permanently, as much as one request may.

    Return how many conversations that were, and whether there are more.

    Raises:
        UnderHold: a legal hold keeps all conversations of the actor.
    """
    access = Access.of(actor)
    holds = await Holds.of(access)
    if holds.whole:
        raise UnderHold
    ids = await list_trashed(access, MAX_EMPTIED + 1, without=holds.ids)
    deleted = await change_each(
        actor,
        deps,
        ids[:MAX_EMPTIED],
        lambda each: _delete(actor, deps, access, conversation_id=each),
    )
    details = {"conversations": deleted}
    entry = audit.entry(actor, Action.CONVERSATION_EMPTY_TRASH, details=details)
    await deps.recorder.record(entry)
    return deleted, len(ids) > MAX_EMPTIED


async def purge_due(
    actor: Actor, deps: TrashDeps, ids: Sequence[ObjectId], cutoff: datetime
) -> int:
    """Delete those of an owner's conversations that were trashed until a time and are not held.

    Args:
        actor: the background work in the owner's name.
        deps: the dependencies of the trash.
        ids: of the conversations.
        cutoff: the time.
    """
    access = Access.of(actor)
    holds = await Holds.of(access)
    due = [each for each in ids if not holds.cover(each)]
    return await change_each(
        actor,
        deps,
        due,
        lambda each: _delete(actor, deps, access, conversation_id=each, trashed_before=cutoff),
    )
