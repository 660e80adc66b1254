"""Operations on attachments."""

import re
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
from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.working_copy import WorkingCopy
from chatvault.errors import NotFound, RangeNotSatisfiable, TooLarge
from chatvault.fields import Raw, now
from chatvault.idempotency import IdempotencyKey, Idempotent

# Of one conversation; a list of them is answered whole.
MAX_ATTACHMENTS: Final = 10_000
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRange:
    """Bytes of an attachment.

    Attributes:
        attachment: what is known of it.
        start: the first byte.
        end: the byte after the last.
        size: of the whole file.
        is_whole: whether no range was asked for.
        chunks: the bytes.
    """

    attachment: Raw
    start: int
    end: int
    size: int
    is_whole: bool
    chunks: AsyncGenerator[bytes]


async def list_attachments(
    actor: Actor, deps: AttachmentDeps, *, conversation_id: ObjectId
) -> list[Raw]:
    """Return what is known of a conversation's attachments.

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


async def read(
    actor: Actor,
    deps: AttachmentDeps,
    *,
    conversation_id: ObjectId,
    attachment_id: str,
    wanted: str | None,
) -> FileRange:
    """Return the bytes of an attachment, or one range of them.

    Args:
        actor: the conversation's owner.
        deps: what attachments are read with.
        conversation_id: the conversation's id.
        attachment_id: the attachment's.
        wanted: the value of `Range`; what is no single range of bytes gives all of them.

    Raises:
        NotFound: the actor has no such attachment, or its bytes are not here.
        RangeNotSatisfiable: the file ends before the range.
    """
    access = await resolve(actor, conversation_id, Need.READ)
    query = Attachment.owned_by(
        access, conversation_id=conversation_id, attachment_id=attachment_id
    )
    found = await Attachment.get_pymongo_collection().find_one(query)
    if found is None:
        # A conversation that is not there is said to be missing itself.
        await deps.commits.store.get_conversation(access, conversation_id)
        raise NotFound("Attachment not found")
    if found.get("file") is None:
        raise NotFound("The bytes of this attachment are not here")
    size = found["size"]
    start, end, is_whole = _parse_range(wanted, size)
    entry = audit.entry(actor, Action.CONVERSATION_GET_ATTACHMENT, conversation_id)
    await deps.recorder.record(entry)
    return FileRange(
        attachment=found,
        start=start,
        end=end,
        size=size,
        is_whole=is_whole,
        chunks=deps.files.read(access, found["file"], start, end),
    )


def _parse_range(wanted: str | None, size: int) -> tuple[int, int, bool]:
    """Return the first byte, the one after the last, and whether they are all (RFC 9110)."""
    found = wanted and _RANGE.fullmatch(wanted.strip())
    if not found or not any(found.groups()):
        return 0, size, True
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start = int(first)
        if last and int(last) < start:
            return 0, size, True
        end = min(size, int(last) + 1) if last else size
    if start >= end:
        raise RangeNotSatisfiable
    return start, end, False


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
    """Store a file beside a conversation.

    Raises:
        NotFound: the actor has no such conversation.
        TooLarge: the file is too large, or the conversation has too many.
        AttachmentLimitReached: the user has too much already.
    """
    access, at = await resolve(actor, conversation_id, Need.WRITE), now()
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
        # A change of the conversation, so that its deletion elsewhere cannot pass unseen.
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
    """Return how a repeat is answered: with the attachment of the first time."""
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
