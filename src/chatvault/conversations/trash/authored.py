"""Removing what a user wrote in other users' conversations, for the erasure of their account.

It is removed in the trash, too.
"""

import asyncio
from collections.abc import AsyncIterator

from bson import ObjectId
from pymongo import DeleteMany

from chatvault.access import Access
from chatvault.actor import Actor, Door
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.audit.outbox import place
from chatvault.conversations.authors import Authorship
from chatvault.conversations.commits.change import Change, estimate
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.holds import Holds
from chatvault.conversations.reading.pages import stream
from chatvault.conversations.segments import Revision, is_deleted
from chatvault.conversations.shapes import MessageDoc
from chatvault.conversations.store import MessageStore
from chatvault.errors import NotFound
from chatvault.fields import now

# The number of changes that wait for their commit at a time.
AT_ONCE = 32


async def remove_authored(commits: CommitQueue, author_id: ObjectId) -> int:
    """Remove a user's messages from the conversations of others, and their earlier versions.

    A message of somebody else's that the user edited gets the newest version of others again.
    It can be interrupted and repeated.

    Returns:
        The number of changes.

    Raises:
        Busy: a conversation kept changing.
    """
    # The rows stay until they are removed with the rest of what the user has.
    rows = await Authorship.get_pymongo_collection().find({"author_id": author_id}).to_list()
    removed = 0
    for row in rows:
        owner = Actor(door=Door.BACKGROUND, user_id=row["owner_id"])
        removed += await _remove_from(commits, owner, row["conversation_id"], author_id)
    return removed


async def _remove_from(
    commits: CommitQueue, owner: Actor, conversation_id: ObjectId, author_id: ObjectId
) -> int:
    access, removed = Access.of(owner), 0
    keeps = (await Holds.of(access)).cover(conversation_id)
    if not keeps:
        removed += await _remove_revisions(commits, owner, conversation_id, author_id)
    ids = {each async for each in _ids_by(access, commits.store, conversation_id, author_id)}
    earlier: dict[str, MessageDoc] = {}
    if ids:
        # The oldest come first, so the newest stay.
        async for each in commits.store.walk_revisions(access, conversation_id):
            message = each["message"]
            if each["message_id"] in ids and not _is_by(message, author_id):
                earlier |= {} if message.get("unreadable") else {each["message_id"]: message}
    changes = [
        _removal(owner, conversation_id, each, author_id, earlier=earlier.get(each), keeps=keeps)
        for each in sorted(ids)
    ]
    for start in range(0, len(changes), AT_ONCE):
        some = [commits.submit(each) for each in changes[start : start + AT_ONCE]]
        for outcome in await asyncio.gather(*some, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, NotFound):
                raise outcome
    return removed + len(changes)


async def _ids_by(
    access: Access, store: MessageStore, conversation_id: ObjectId, author_id: ObjectId
) -> AsyncIterator[str]:
    """Yield the ids of a user's messages in a conversation, those of all branches."""
    found = await store.find_with_trash(access, [conversation_id], with_messages=True)
    if not found:
        return
    async for run in stream(access, store, found[0], whole=True):
        for each in run:
            if _is_by(each.message, author_id):
                yield each.message["id"]


def _is_by(message: MessageDoc, author_id: ObjectId) -> bool:
    return message.get("author_id") == author_id


def _removal(
    owner: Actor,
    conversation_id: ObjectId,
    message_id: str,
    author_id: ObjectId,
    *,
    earlier: MessageDoc | None,
    keeps: bool,
) -> Change[None]:
    """Return the change that removes a user's message, or restores the version of others."""
    action = Action.CONVERSATION_DELETE_MESSAGE
    if earlier is not None:
        action = Action.CONVERSATION_EDIT_MESSAGE

    def decide(working: WorkingCopy) -> None:
        found = working.find(message_id)
        if found is None or is_deleted(found.message) or not _is_by(found.message, author_id):
            return
        if earlier is None:
            working.remove_message(working.locate(message_id), now())
        else:
            working.restore_message(working.locate(message_id), earlier, now())
        entry = audit.entry(owner, action, conversation_id)
        working.outbox.record(entry, place(found.seq))

    return Change(
        actor=owner,
        access=Access.of(owner),
        action=action,
        where=("_id", conversation_id),
        decide=decide,
        size=0 if earlier is None else estimate(earlier),
        message_ids=frozenset({message_id}),
        needs_tail=True,
        sees_trash=True,
        keeps=keeps,
    )


async def _remove_revisions(
    commits: CommitQueue, owner: Actor, conversation_id: ObjectId, author_id: ObjectId
) -> int:
    """Remove earlier versions, by a user, of messages that others have edited since."""
    access = Access.of(owner)
    found = [
        each["_id"]
        async for each in commits.store.walk_revisions(access, conversation_id)
        if _is_by(each["message"], author_id)
    ]
    if not found:
        return 0
    its = Revision.owned_by(access, conversation_id=conversation_id)

    def decide(working: WorkingCopy) -> None:
        if working.exists:
            working.revisions.append(DeleteMany({**its, "_id": {"$in": found}}))
            action, details = Action.CONVERSATION_DELETE_MESSAGE, {"revisions": len(found)}
            entry = audit.entry(owner, action, conversation_id, details=details)
            working.outbox.record(entry, range(0))

    await commits.submit(
        Change(
            actor=owner,
            access=access,
            action=Action.CONVERSATION_DELETE_MESSAGE,
            where=("_id", conversation_id),
            decide=decide,
            sees_trash=True,
        )
    )
    return len(found)
