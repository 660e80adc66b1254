"""Attachments in exports: what is known of them, and their bytes, some at a time."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from bson import ObjectId

from chatvault.access import Access
from chatvault.attachments.files import FileStore
from chatvault.attachments.models import Attachment
from chatvault.errors import Busy, NotFound
from chatvault.exporting.archive import Archive
from chatvault.exporting.formats.json_document import JsonWriter
from chatvault.exporting.names import safe_name
from chatvault.exporting.records import Counts, ExportedAttachment, ExportedConversation
from chatvault.fields import Raw

FOLDER: Final = "attachments"
_MAX_SUFFIX: Final = 16
_MAX_STEM: Final = 100


@dataclass(frozen=True, slots=True)
class Carrier:
    """Puts the bytes of attachments into an export.

    Attributes:
        files: reads them.
        is_inline: they stand in the JSON; otherwise they are files of the same archive.
    """

    files: FileStore
    is_inline: bool


async def find_attached(access: Access, ids: Sequence[ObjectId]) -> Collection[ObjectId]:
    """Return those of the conversations that have attachments."""
    mine = Attachment.owned_by(access, conversation_id={"$in": list(ids)})
    return set(await Attachment.get_pymongo_collection().distinct("conversation_id", mine))


async def find_attachments(
    access: Access, conversation_id: ObjectId, *, beside: bool
) -> list[ExportedAttachment]:
    """Return what is known of a conversation's attachments, in the order of their ids.

    With `beside`, each whose bytes are here has a path in the archive.
    """
    mine = Attachment.owned_by(access, conversation_id=conversation_id)
    found = Attachment.get_pymongo_collection().find(mine).sort("attachment_id", 1)
    return [_record(each, beside=beside) async for each in found]


def _record(stored: Raw, *, beside: bool) -> ExportedAttachment:
    file_id, name = stored.get("file"), stored.get("name")
    return ExportedAttachment(
        id=stored["attachment_id"],
        name=name,
        mime=stored.get("mime"),
        size=stored.get("size"),
        source_ref=stored.get("source_ref"),
        state=stored["state"],
        created_at=stored["created_at"],
        file=file_id,
        path=_path_of(file_id, name) if beside and file_id is not None else None,
    )


def _path_of(file_id: ObjectId, name: str | None) -> str:
    """Return the path of a file in an archive; equal files of one name have the same."""
    path = PurePosixPath(name or "file")
    suffix = path.suffix if path.suffix.isascii() and len(path.suffix) <= _MAX_SUFFIX else ""
    stem = (name or "file").removesuffix(suffix)
    return f"{FOLDER}/{file_id}/{safe_name(safe_name(stem, most=_MAX_STEM) + suffix)}"


async def inline_chunks(
    access: Access,
    files: FileStore,
    writer: JsonWriter,
    conversation: ExportedConversation,
    counts: Counts,
) -> AsyncGenerator[bytes]:
    """Yield the beginning of a conversation up to its messages, with attachments in base64.

    Raises:
        Busy: an attachment went away while it was read.
    """
    yield writer.begin_attached(conversation)
    for number, each in enumerate(conversation.attachments):
        chunks = await _open(access, files, each)
        yield writer.attachment(each, is_first=number == 0, has_data=chunks is not None)
        if chunks is None:
            continue
        counts.attachments += 1
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                # A part that is not the last has a length of whole groups of three bytes.
                yield base64.b64encode(chunk)
        yield writer.attachment_end
    yield writer.begin_messages


async def pack_attachments(
    access: Access,
    files: FileStore,
    archive: Archive,
    attachments: Sequence[ExportedAttachment],
    counts: Counts,
) -> AsyncGenerator[bytes]:
    """Write the bytes of attachments to an archive, each file once; yield what has come of it.

    Raises:
        Busy: an attachment went away while it was read.
    """
    for each in attachments:
        if each.path is None or archive.has(each.path):
            continue
        chunks = await _open(access, files, each)
        if chunks is None:
            continue
        counts.attachments += 1
        async with contextlib.aclosing(chunks):
            archive.begin(each.path, each.created_at)
            async for chunk in chunks:
                await asyncio.to_thread(archive.write, chunk)
                yield archive.take()
            archive.end()


async def _open(
    access: Access, files: FileStore, attachment: ExportedAttachment
) -> AsyncGenerator[bytes] | None:
    """Return the bytes of an attachment; None where they are not here."""
    if attachment.file is None or attachment.size is None:
        return None
    chunks = files.read(access, attachment.file, 0, attachment.size)
    try:
        first = await anext(chunks, b"")
    except NotFound:
        return None
    return _with_first(first, chunks)


async def _with_first(first: bytes, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(chunks):
        yield first
        try:
            async for chunk in chunks:
                yield chunk
        except NotFound:
            raise Busy("An attachment was deleted while it was exported; try again") from None
