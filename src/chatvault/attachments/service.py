"""Operations on attachments."""

import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from bson import ObjectId
from pymongo import InsertOne
from pymongo.asynchronous.client_session import AsyncClientSession

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.attachments.deps import AttachmentDeps
from chatvault.attachments.models import Attachment
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.byte_ranges import ByteRange, parse_range
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.conversations.trash.queries import check_not_gone
from chatvault.errors import NotFound, TooLarge
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent

# Of one conversation; they are listed without pages.
MAX_ATTACHMENTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBytes:
    """Bytes of an attachment.

    Attributes:
        attachment: the attachment's metadata.
        bounds: the range of its bytes.
        chunks: the bytes.
    """

    attachment: Raw
    bounds: ByteRange
    chunks: AsyncGenerator[bytes]


async def list_attachments(
    actor: Actor, deps: AttachmentDeps, *, conversation_id: ObjectId
) -> list[Raw]:
    """Return the metadata of a conversation's attachments.

    Raises:
        NotFound: the actor has no such conversation.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    await deps.commits.store.get_conversation(access, conversation_id)
    query = Attachment.owned_by(access, conversation_id=conversation_id)
    found = Attachment.get_pymongo_collection().find(query).sort("attachment_id", 1)
    attachments = await found.limit(MAX_ATTACHMENTS).to_list()
    details = {"attachments": len(attachments)}
    action = Action.CONVERSATION_LIST_ATTACHMENTS
    await deps.recorder.record(audit.entry(actor, action, conversation_id, details=details))
    return attachments


async def list_attached(access: Access) -> list[ObjectId]:
    """Return the ids of all conversations of an owner's that have attachments."""
    pipeline: list[Raw] = [
        {"$match": Attachment.owned_by(access)},
        {"$group": {"_id": "$conversation_id"}},
    ]
    found = await Attachment.get_pymongo_collection().aggregate(pipeline)
    return [each["_id"] async for each in found]


async def read(
    actor: Actor,
    deps: AttachmentDeps,
    *,
    conversation_id: ObjectId,
    attachment_id: str,
    wanted: str,
) -> FileBytes:
    """Return the bytes of an attachment, or one range of them.

    Args:
        actor: the conversation's owner.
        deps: the dependencies of attachments.
        conversation_id: the conversation's id.
        attachment_id: the attachment's.
        wanted: the value of `Range`.

    Raises:
        NotFound: the actor has no such attachment, or its bytes are not stored.
        RangeNotSatisfiable: the file ends before the range.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    query = Attachment.owned_by(
        access, conversation_id=conversation_id, attachment_id=attachment_id
    )
    found = await Attachment.get_pymongo_collection().find_one(query)
    # A missing conversation has an error of its own.
    await check_not_gone(access, conversation_id)
    if found is None:
        raise NotFound("Attachment not found")
    if found.get("file") is None:
        raise NotFound("The bytes of this attachment are not here")
    bounds = parse_range(wanted, found["size"])
    entry = audit.entry(actor, Action.CONVERSATION_GET_ATTACHMENT, conversation_id)
    await deps.recorder.record(entry)
    return FileBytes(
        attachment=found,
        bounds=bounds,
        chunks=deps.files.read(access, found["file"], bounds.start, bounds.end),
    )


async def create(
    actor: Actor,
    deps: AttachmentDeps,
    *,
    conversation_id: ObjectId,
    name: str,
    mime: str | None,
    data: bytes,
    idempotency_key: IdempotencyKey | None,
) -> Raw:
    """Store a file in a conversation.

    Raises:
        NotFound: the actor has no such conversation.
        TooLarge: the file is too large, or the conversation has too many.
        AttachmentLimitReached: the user has too much already.
    """
    access, at = await resolve(actor, conversation_id, Need.MANAGE), now()
    await deps.commits.store.get_conversation(access, conversation_id)
    mine = Attachment.owned_by(access, conversation_id=conversation_id)
    attachments = Attachment.get_pymongo_collection()
    if await attachments.count_documents(mine, limit=MAX_ATTACHMENTS) >= MAX_ATTACHMENTS:
        raise TooLarge(f"A conversation may have at most {MAX_ATTACHMENTS:,} attachments.")
    attachment = {
        **mine,
        "_id": ObjectId(),
        "attachment_id": str(uuid.uuid4()),
        "name": name,
        "mime": mime,
        "size": len(data),
        "source_ref": None,
        "state": "present",
        "file": await deps.files.keep(access, data),
        "created_at": at,
    }

    def decide(working: WorkingCopy) -> Raw:
        working.check_exists()
        # Changes the conversation, so that a concurrent deletion conflicts.
        working.set(at)
        working.beside.append((Attachment, InsertOne(attachment)))
        details = {"attachments": 1}
        entry = audit.entry(actor, Action.CONVERSATION_ATTACH, conversation_id, details=details)
        working.outbox.record(entry)
        return attachment

    return await deps.commits.submit(
        Change(
            actor=actor,
            access=access,
            action=Action.CONVERSATION_ATTACH,
            where=("_id", conversation_id),
            decide=decide,
            idempotent=_idempotent(access, conversation_id, idempotency_key),
        )
    )


def _idempotent(
    access: Access, conversation_id: ObjectId, idempotency_key: IdempotencyKey | None
) -> Idempotent[Raw] | None:
    """Return how a repeat is answered: with the attachment that was stored first."""
    if idempotency_key is None:
        return None

    async def find(found_id: ObjectId, session: AsyncClientSession) -> Raw:
        query = Attachment.owned_by(access, conversation_id=conversation_id, _id=found_id)
        found = await Attachment.get_pymongo_collection().find_one(query, session=session)
        if found is None:
            raise NotFound("Attachment not found")
        return dict(found)

    return Idempotent.by_id(
        idempotency_key,
        "attachment",
        id_of=lambda attachment: attachment["_id"],
        find=find,
        conversation_id=conversation_id,
    )
