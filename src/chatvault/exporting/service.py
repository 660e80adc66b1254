"""What can be exported: one conversation, a selection, all, and everything about a user."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.models import Conversation
from chatvault.errors import NotFound
from chatvault.exporting.files import ARCHIVE, archive_chunks, file_chunks
from chatvault.exporting.formats import WRITERS
from chatvault.exporting.names import name_of, name_of_export
from chatvault.exporting.records import About, Counts, ExportedConversation
from chatvault.exporting.schemas import ConversationFormat
from chatvault.exporting.turns import ExportDeps
from chatvault.exporting.user_data import user_chunks
from chatvault.fields import now
from chatvault.version import VERSION


@dataclass(frozen=True, slots=True)
class Export:
    """A file to take away, as it is made.

    Attributes:
        name: what it is to be called.
        media_type: of the whole.
        chunks: its bytes; whoever does not read them to the end closes them.
        counts: how much was exported, when all chunks were read.
    """

    name: str
    media_type: str
    chunks: AsyncGenerator[bytes]
    counts: Counts


async def export_conversation(
    actor: Actor, deps: ExportDeps, *, conversation_id: ObjectId, wanted: ConversationFormat
) -> Export:
    """Export one conversation.

    Raises:
        NotFound: the actor has no such conversation.
        Throttled: too many exports in this minute, or at the same time.
        Busy: others export.
    """
    await deps.admit(actor)
    access = await resolve(actor, conversation_id, Need.READ)
    document = await deps.store.get_conversation(access, conversation_id)
    writer, counts = WRITERS[wanted](), Counts()
    chunks = file_chunks(access, deps.store, [conversation_id], writer, _about(), counts)
    details = {
        "format": wanted.value,
        "conversations": 1,
        "messages": document["total_messages"],
    }
    entry = audit.entry(actor, Action.CONVERSATION_EXPORT, conversation_id, details=details)
    return Export(
        name_of(ExportedConversation.of(document), writer.suffix),
        writer.media_type,
        await deps.begin(actor, entry, chunks),
        counts,
    )


async def export_conversations(
    actor: Actor,
    deps: ExportDeps,
    *,
    wanted: ConversationFormat,
    ids: Sequence[ObjectId] | None = None,
    after: ObjectId | None = None,
) -> Export:
    """Export all conversations, or some of them, in the order in which they were made.

    Args:
        actor: whose they are.
        deps: what exports are made with.
        wanted: the format.
        ids: only these.
        after: only those that were made after this one.

    Raises:
        NotFound: one of those that were asked for is not the actor's.
        Throttled: too many exports in this minute, or at the same time.
        Busy: others export.
    """
    await deps.admit(actor)
    access = Access.of(actor)
    mine = sorted(await Conversation.list_ids(access))
    if ids is not None:
        if set(ids) - set(mine):
            raise NotFound("Conversation not found")
        mine = sorted(set(ids))
    if after is not None:
        mine = [each for each in mine if each > after]
    writer, about, counts = WRITERS[wanted](), _about(), Counts()
    if writer.is_document:
        suffix, media_type = ARCHIVE
        chunks = archive_chunks(access, deps.store, mine, WRITERS[wanted], about, counts)
    else:
        suffix, media_type = writer.suffix, writer.media_type
        chunks = file_chunks(access, deps.store, mine, writer, about, counts)
    details = {"format": wanted.value, "conversations": len(mine)}
    entry = audit.entry(actor, Action.CONVERSATION_EXPORT, details=details)
    return Export(
        name_of_export("chatvault conversations", about.exported_at, suffix),
        media_type,
        await deps.begin(actor, entry, chunks),
        counts,
    )


async def export_user(actor: Actor, deps: ExportDeps) -> Export:
    """Export everything about the actor, as a ZIP.

    Raises:
        Throttled: too many exports in this minute, or at the same time.
        Busy: others export.
    """
    await deps.admit(actor)
    ids, about, counts = sorted(await Conversation.list_ids(Access.of(actor))), _about(), Counts()
    suffix, media_type = ARCHIVE
    details = {"format": suffix.removeprefix("."), "conversations": len(ids)}
    entry = audit.entry(actor, Action.USER_EXPORT, actor.owner_id, details=details)
    return Export(
        name_of_export("chatvault everything", about.exported_at, suffix),
        media_type,
        await deps.begin(actor, entry, user_chunks(actor, deps.store, ids, about, counts)),
        counts,
    )


def _about() -> About:
    return About(exported_at=now(), program=f"chatvault {VERSION}")
