"""The change that each action makes of one conversation: a row for each."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.audit.actions import Action
from chatvault.batches.models import BatchAction
from chatvault.conversations.bulk.updates import Edit, update_fields
from chatvault.conversations.commits.queue import CommitQueue
from chatvault.conversations.models import Status
from chatvault.conversations.preconditions import Precondition
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.trash import service as trash_service
from chatvault.conversations.trash.service import TrashDeps
from chatvault.errors import Conflict
from chatvault.fields import Raw, now

MAX_TAGS = 64


class TooManyTags(Conflict):
    """The conversation would have more than 64 tags."""

    code = "too_many_tags"


@dataclass(frozen=True, slots=True)
class Doing:
    """An action that is being done.

    Attributes:
        actor: whose conversations they are.
        commits: takes the changes.
        trash: puts conversations into the trash, and takes them out.
        options: the tags, or the category.
    """

    actor: Actor
    commits: CommitQueue
    trash: TrashDeps
    options: Raw


# Does it with one conversation of this version, with its audit entry; returns whether anything was
# to change, and raises an error of the domain where it cannot be done.
Apply = Callable[[Doing, ObjectId, Precondition], Awaitable[bool]]
# Returns the fields to change, given the options and the stored fields.
Decide = Callable[[Raw, ConversationDoc], Raw]


def _edit(
    decide: Decide,
    action: Action = Action.CONVERSATION_UPDATE,
    **details: Any,
) -> Apply:
    async def apply(doing: Doing, conversation_id: ObjectId, precondition: Precondition) -> bool:
        edit = Edit(
            changing=lambda fields: decide(doing.options, fields),
            action=action,
            details=details or None,
        )
        return await update_fields(doing.actor, doing.commits, conversation_id, edit, precondition)

    return apply


def _archive(_options: Raw, fields: ConversationDoc) -> Raw:
    if fields["status"] == Status.ARCHIVED.value:
        return {}
    return {"status": Status.ARCHIVED.value, "archived_at": now()}


def _unarchive(_options: Raw, fields: ConversationDoc) -> Raw:
    if fields["status"] != Status.ARCHIVED.value:
        return {}
    return {"status": Status.ACTIVE.value, "archived_at": None}


def _tag(options: Raw, fields: ConversationDoc) -> Raw:
    stored = fields["tags"]
    added = [each for each in dict.fromkeys(options["tags"]) if each not in stored]
    if len(stored) + len(added) > MAX_TAGS and added:
        raise TooManyTags
    return {"tags": [*stored, *added]} if added else {}


def _untag(options: Raw, fields: ConversationDoc) -> Raw:
    kept = [each for each in fields["tags"] if each not in options["tags"]]
    return {} if len(kept) == len(fields["tags"]) else {"tags": kept}


def _move(options: Raw, fields: ConversationDoc) -> Raw:
    category_id = options["category_id"]
    return {} if fields.get("category_id") == category_id else {"category_id": category_id}


def _pin(_options: Raw, fields: ConversationDoc) -> Raw:
    return {} if fields.get("pinned_at") else {"pinned_at": now()}


def _unpin(_options: Raw, fields: ConversationDoc) -> Raw:
    return {"pinned_at": None} if fields.get("pinned_at") else {}


async def _trash(doing: Doing, conversation_id: ObjectId, precondition: Precondition) -> bool:
    await trash_service.delete(
        doing.actor, doing.trash, conversation_id=conversation_id, precondition=precondition
    )
    return True


async def _restore(doing: Doing, conversation_id: ObjectId, precondition: Precondition) -> bool:
    await trash_service.restore(
        doing.actor, doing.trash, conversation_id=conversation_id, precondition=precondition
    )
    return True


async def _purge(doing: Doing, conversation_id: ObjectId, precondition: Precondition) -> bool:
    await trash_service.purge(
        doing.actor, doing.trash, conversation_id=conversation_id, precondition=precondition
    )
    return True


# An export is no change: `exporting` makes it.
ACTIONS: Mapping[BatchAction, Apply] = {
    BatchAction.ARCHIVE: _edit(_archive, Action.CONVERSATION_ARCHIVE, archived=True),
    BatchAction.UNARCHIVE: _edit(_unarchive, Action.CONVERSATION_ARCHIVE, archived=False),
    BatchAction.TAG: _edit(_tag),
    BatchAction.UNTAG: _edit(_untag),
    BatchAction.MOVE: _edit(_move),
    BatchAction.PIN: _edit(_pin, fields=["pinned"]),
    BatchAction.UNPIN: _edit(_unpin, fields=["pinned"]),
    BatchAction.TRASH: _trash,
    BatchAction.RESTORE: _restore,
    BatchAction.PURGE: _purge,
}
