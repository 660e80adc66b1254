"""The change that each action makes of one conversation: a row for each."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
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
        each: the options of single conversations, where they differ.
    """

    actor: Actor
    commits: CommitQueue
    trash: TrashDeps
    options: Raw
    each: Mapping[ObjectId, Raw] = field(default_factory=dict)

    def options_of(self, conversation_id: ObjectId) -> Raw:
        """Return the options for one conversation."""
        return self.each.get(conversation_id, self.options)


# Does it with one conversation of this version, with its audit entry. Returns the options with
# which the inverse action takes the change back, or None if nothing was to change; raises an error
# of the domain where it cannot be done.
Apply = Callable[[Doing, ObjectId, Precondition], Awaitable[Raw | None]]
# Returns the fields to change, given the options and the stored fields.
Decide = Callable[[Raw, ConversationDoc], Raw]
# Returns the options of the inverse action, given the same.
Invert = Callable[[Raw, ConversationDoc], Raw]


def _needs_nothing(_options: Raw, _fields: ConversationDoc) -> Raw:
    return {}


def _edit(
    decide: Decide,
    action: Action = Action.CONVERSATION_UPDATE,
    invert: Invert = _needs_nothing,
    **details: Any,
) -> Apply:
    async def apply(
        doing: Doing, conversation_id: ObjectId, precondition: Precondition
    ) -> Raw | None:
        options, inverse = doing.options_of(conversation_id), Raw()

        def change(fields: ConversationDoc) -> Raw:
            nonlocal inverse
            inverse = invert(options, fields)
            return decide(options, fields)

        edit = Edit(changing=change, action=action, details=details or None)
        changed = await update_fields(
            doing.actor, doing.commits, conversation_id, edit, precondition
        )
        return inverse if changed else None

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
    stored, added = fields["tags"], _added_tags(options, fields)["tags"]
    if len(stored) + len(added) > MAX_TAGS and added:
        raise TooManyTags
    return {"tags": [*stored, *added]} if added else {}


def _added_tags(options: Raw, fields: ConversationDoc) -> Raw:
    added = dict.fromkeys(options["tags"])
    return {"tags": [each for each in added if each not in fields["tags"]]}


def _removed_tags(options: Raw, fields: ConversationDoc) -> Raw:
    return {"tags": [each for each in fields["tags"] if each in options["tags"]]}


def _untag(options: Raw, fields: ConversationDoc) -> Raw:
    kept = [each for each in fields["tags"] if each not in options["tags"]]
    return {} if len(kept) == len(fields["tags"]) else {"tags": kept}


def _move(options: Raw, fields: ConversationDoc) -> Raw:
    category_id, stored = options["category_id"], fields.get("category_id")
    if stored == category_id or options.get("only_from", stored) != stored:
        return {}
    return {"category_id": category_id}


def _former_category(options: Raw, fields: ConversationDoc) -> Raw:
    return {"category_id": fields.get("category_id"), "only_from": options["category_id"]}


def _pin(options: Raw, fields: ConversationDoc) -> Raw:
    return {} if fields.get("pinned_at") else {"pinned_at": options.get("pinned_at") or now()}


def _former_pin(_options: Raw, fields: ConversationDoc) -> Raw:
    return {"pinned_at": fields.get("pinned_at")}


def _unpin(_options: Raw, fields: ConversationDoc) -> Raw:
    return {"pinned_at": None} if fields.get("pinned_at") else {}


async def _trash(doing: Doing, conversation_id: ObjectId, precondition: Precondition) -> Raw:
    await trash_service.delete(
        doing.actor, doing.trash, conversation_id=conversation_id, precondition=precondition
    )
    return {}


async def _restore(
    doing: Doing, conversation_id: ObjectId, precondition: Precondition
) -> Raw | None:
    restored = await trash_service.restore(
        doing.actor, doing.trash, conversation_id=conversation_id, precondition=precondition
    )
    return {} if restored else None


async def _purge(doing: Doing, conversation_id: ObjectId, precondition: Precondition) -> Raw:
    await trash_service.purge(
        doing.actor, doing.trash, conversation_id=conversation_id, precondition=precondition
    )
    return {}


# An export is no change: `exporting` makes it.
ACTIONS: Mapping[BatchAction, Apply] = {
    BatchAction.ARCHIVE: _edit(_archive, Action.CONVERSATION_ARCHIVE, archived=True),
    BatchAction.UNARCHIVE: _edit(_unarchive, Action.CONVERSATION_ARCHIVE, archived=False),
    BatchAction.TAG: _edit(_tag, invert=_added_tags),
    BatchAction.UNTAG: _edit(_untag, invert=_removed_tags),
    BatchAction.MOVE: _edit(_move, invert=_former_category),
    BatchAction.PIN: _edit(_pin, fields=["pinned"]),
    BatchAction.UNPIN: _edit(_unpin, invert=_former_pin, fields=["pinned"]),
    BatchAction.TRASH: _trash,
    BatchAction.RESTORE: _restore,
    BatchAction.PURGE: _purge,
}

# The actions that take the others back; a deletion and an export have none.
INVERSE: Mapping[BatchAction, BatchAction] = {
    BatchAction.ARCHIVE: BatchAction.UNARCHIVE,
    BatchAction.UNARCHIVE: BatchAction.ARCHIVE,
    BatchAction.TAG: BatchAction.UNTAG,
    BatchAction.UNTAG: BatchAction.TAG,
    BatchAction.MOVE: BatchAction.MOVE,
    BatchAction.PIN: BatchAction.UNPIN,
    BatchAction.UNPIN: BatchAction.PIN,
    BatchAction.TRASH: BatchAction.RESTORE,
    BatchAction.RESTORE: BatchAction.TRASH,
}
# Those whose inverse needs to know what was there before.
INVERTED_BY_OPTIONS = frozenset({BatchAction.TAG, BatchAction.UNTAG, BatchAction.MOVE})
