"""Export one conversation, a selection, all, or everything about a user."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from bson import ObjectId

from chatvault.access import Access, Need, resolve
from chatvault.actor import Actor
from chatvault.audit import service as audit
from chatvault.audit.actions import Action
from chatvault.conversations.models import Conversation
from chatvault.errors import InvalidInput, NotFound
from chatvault.exporting.attached import Carrier
from chatvault.exporting.files import ARCHIVE, archive_chunks, file_chunks
from chatvault.exporting.formats import WRITERS
from chatvault.exporting.names import name_of, name_of_export
from chatvault.exporting.pdf import files as pdf
from chatvault.exporting.pdf.typesetter import require_installed
from chatvault.exporting.reading import never
from chatvault.exporting.records import About, Counts, ExportedConversation
from chatvault.exporting.schemas import ConversationFormat, WithAttachments
from chatvault.exporting.turns import ExportDeps
from chatvault.exporting.user_data import user_chunks
from chatvault.fields import Raw, now
from chatvault.version import VERSION

# A suffix with its dot, and a media type.
FileType = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Export:
    """A file that is made while it is read.

    Attributes:
        name: the suggested name of the file.
        media_type: the media type of the file.
        chunks: its bytes; a reader that stops before the end must close them.
        counts: how much was exported; complete when all chunks were read.
    """

    name: str
    media_type: str
    chunks: AsyncGenerator[bytes]
    counts: Counts


async def export_conversation(
    actor: Actor,
    deps: ExportDeps,
    *,
    conversation_id: ObjectId,
    wanted: ConversationFormat,
    attachments: WithAttachments | None = None,
) -> Export:
    """Export one conversation; with attachments, Markdown and HTML become a ZIP.

    Raises:
        NotFound: the actor has no such conversation.
        InvalidInput: the format has no place for attachments.
        Throttled: too many exports in this minute, or at the same time.
        Busy: others export.
        PdfNotInstalled: the service makes no PDF.
    """
    check_format(wanted)
    include = includes_attachments(wanted, attachments, is_archive=False)
    await deps.admit(actor)
    access = await resolve(actor, conversation_id, Need.MANAGE)
    document = await deps.store.get_conversation(access, conversation_id)
    counts = Counts()
    chunks, (suffix, media_type) = await _one(
        access, deps, conversation_id, wanted, counts, include=include
    )
    details: Raw = {
        "format": wanted.value,
        "conversations": 1,
        "messages": document["total_messages"],
    }
    if include:
        details["attachments"] = True
    entry = audit.entry(actor, Action.CONVERSATION_EXPORT, conversation_id, details=details)
    return Export(
        name_of(ExportedConversation.of(document), suffix),
        media_type,
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
    attachments: WithAttachments | None = None,
) -> Export:
    """Export all conversations, or some of them, in the order of their creation.

    Args:
        actor: the owner of the conversations.
        deps: what exports are made with.
        wanted: the format.
        ids: export only these.
        after: export only those created after this one.
        attachments: whether to include the bytes of attachments; None for the format's default.

    Raises:
        NotFound: one of the requested conversations is not the actor's.
        InvalidInput: the format has no place for attachments.
        Throttled: too many exports in this minute, or at the same time.
        Busy: others export.
        PdfNotInstalled: the service makes no PDF.
    """
    check_format(wanted)
    include = includes_attachments(wanted, attachments, is_archive=True)
    await deps.admit(actor)
    access = Access.of(actor)
    mine = sorted(await Conversation.list_ids(access))
    if ids is not None:
        if set(ids) - set(mine):
            raise NotFound("Conversation not found")
        mine = sorted(set(ids))
    if after is not None:
        mine = [each for each in mine if each > after]
    about, counts = _about(), Counts()
    chunks, (suffix, media_type) = many_chunks(
        access, deps, mine, wanted, about, counts, attachments=include
    )
    details: Raw = {"format": wanted.value, "conversations": len(mine)}
    if include:
        details["attachments"] = True
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
        await deps.begin(actor, entry, user_chunks(actor, deps, ids, about, counts)),
        counts,
    )


def check_format(wanted: ConversationFormat) -> None:
    """Check that the service makes files of this format.

    Raises:
        PdfNotInstalled: PDF is not installed.
    """
    if wanted is ConversationFormat.PDF:
        require_installed()


def includes_attachments(
    wanted: ConversationFormat,
    choice: WithAttachments | None,
    *,
    is_archive: bool,
    named_in: str = "query",
) -> bool:
    """Return whether an export takes the bytes of attachments with it.

    Args:
        wanted: the format.
        choice: the request's; None for the format's default.
        is_archive: whether the file is an archive.
        named_in: where the request names the choice: `query` or `body`.

    Raises:
        InvalidInput: the format has no place for them.
    """
    writer = WRITERS.get(wanted)
    has_files = writer is not None and writer.is_document
    has_place = has_files or (writer is not None and writer.has_branches)
    if choice is WithAttachments.INCLUDE and not has_place:
        detail = f"{wanted.value} has no place for attachments"
        kind = "no_place_for_attachments"
        raise InvalidInput.in_field(named_in, "attachments", problem=detail, kind=kind)
    return has_files and is_archive if choice is None else choice is WithAttachments.INCLUDE


async def _one(
    access: Access,
    deps: ExportDeps,
    conversation_id: ObjectId,
    wanted: ConversationFormat,
    counts: Counts,
    *,
    include: bool,
) -> tuple[AsyncGenerator[bytes], FileType]:
    """Return a conversation's bytes, and the suffix and media type of the file."""
    ids = [conversation_id]
    if include:
        return many_chunks(access, deps, ids, wanted, _about(), counts, attachments=True)
    if wanted is not ConversationFormat.PDF:
        writer = WRITERS[wanted]()
        chunks = file_chunks(access, deps.store, ids, writer, _about(), counts)
        return chunks, (writer.suffix, writer.media_type)
    if not await pdf.fits_one_file(access, deps.store, conversation_id):
        return many_chunks(access, deps, ids, wanted, _about(), counts)
    chunks = pdf.file_chunks(access, deps.store, conversation_id, deps.typesetter, counts)
    return chunks, (pdf.SUFFIX, pdf.MEDIA_TYPE)


def many_chunks(  # what a file is made of
    access: Access,
    deps: ExportDeps,
    ids: Sequence[ObjectId],
    wanted: ConversationFormat,
    about: About,
    counts: Counts,
    is_full: Callable[[], bool] = never,
    *,
    attachments: bool = False,
) -> tuple[AsyncGenerator[bytes], FileType]:
    """Return conversations' bytes, and the suffix and media type of the file.

    Args:
        access: to their owner's data.
        deps: what exports are made with.
        ids: the ids of the conversations, in order.
        wanted: the format.
        about: the metadata of every file.
        counts: counts what is in the file.
        is_full: called before each conversation but the first; when true, the file ends.
        attachments: whether the bytes of attachments are in the file.
    """
    files = deps.files if attachments else None
    if wanted is ConversationFormat.PDF:
        typesetter = deps.typesetter
        return pdf.archive_chunks(
            access, deps.store, ids, typesetter, about, counts, is_full
        ), ARCHIVE
    kind = WRITERS[wanted]
    if kind.is_document:
        return archive_chunks(access, deps.store, ids, kind, about, counts, is_full, files), ARCHIVE
    carrier = None if files is None else Carrier(files, is_inline=True)
    chunks = file_chunks(access, deps.store, ids, kind(), about, counts, is_full, carrier)
    return chunks, (kind.suffix, kind.media_type)


def _about() -> About:
    return About(exported_at=now(), program=f"chatvault {VERSION}")
