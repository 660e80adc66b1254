"""Yield exports as chunks of bytes in bounded memory: one file, or a ZIP of several."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace

from bson import ObjectId

from chatvault.access import Access
from chatvault.attachments.files import FileStore
from chatvault.conversations.store import MessageStore
from chatvault.encoding import to_json
from chatvault.exporting.archive import Archive
from chatvault.exporting.attached import Carrier, inline_chunks, pack_attachments
from chatvault.exporting.formats.json_document import JsonWriter, about_raw
from chatvault.exporting.names import path_of
from chatvault.exporting.reading import never, read_pieces
from chatvault.exporting.records import About, Counts, ExportedConversation, Piece
from chatvault.exporting.writer import Writer

# The suffix of a ZIP, and its media type.
ARCHIVE = (".zip", "application/zip")
# The last file of a ZIP, with the counts.
MANIFEST = "export.json"
# With more messages than this, a file may exceed 2 GB.
MANY_MESSAGES = 1000


async def file_chunks(
    access: Access,
    store: MessageStore,
    ids: Sequence[ObjectId],
    writer: Writer,
    about: About,
    counts: Counts,
    is_full: Callable[[], bool] = never,
    carrier: Carrier | None = None,
) -> AsyncGenerator[bytes]:
    """Yield one file with these conversations; update `counts`.

    With a carrier, the file contains the bytes of attachments, or names them as files of its
    archive.
    """
    if head := writer.write_head(about):
        yield head
    beside = carrier is not None and not carrier.is_inline
    inline = carrier.files if carrier is not None and carrier.is_inline else None
    read = read_pieces(
        access, store, ids, counts, is_full, whole=writer.has_branches, beside=beside
    )
    async with contextlib.aclosing(read) as pieces:
        async for piece in pieces:
            rest, conversation = piece, piece.conversation
            has_files = piece.is_first and conversation.attachments
            if inline is not None and isinstance(writer, JsonWriter) and has_files:
                begun = inline_chunks(access, inline, writer, conversation, counts)
                async with contextlib.aclosing(begun):
                    async for chunk in begun:
                        yield chunk
                rest = replace(piece, is_first=False)
            # In a thread, so that it does not block the event loop.
            if chunk := await asyncio.to_thread(writer.write, rest):
                yield chunk
    if tail := writer.write_tail(counts):
        yield tail


async def archive_chunks(
    access: Access,
    store: MessageStore,
    ids: Sequence[ObjectId],
    kind: type[Writer],
    about: About,
    counts: Counts,
    is_full: Callable[[], bool] = never,
    files: FileStore | None = None,
) -> AsyncGenerator[bytes]:
    """Yield a ZIP with a file for each of these conversations, and a file with the counts.

    With `files`, it also contains the bytes of attachments.
    """
    with Archive() as archive:
        writer = kind()
        read = read_pieces(access, store, ids, counts, is_full, beside=files is not None)
        async with contextlib.aclosing(read) as pieces:
            async for piece in pieces:
                if piece.is_first:
                    writer = kind()
                if chunk := await asyncio.to_thread(_pack, archive, writer, piece):
                    yield chunk
                attachments = piece.conversation.attachments
                if files is None or piece.end is None or not attachments:
                    continue
                packed = pack_attachments(access, files, archive, attachments, counts)
                async with contextlib.aclosing(packed):
                    async for chunk in packed:
                        yield chunk
        archive.add(MANIFEST, manifest(about, counts))
        yield archive.close()


def _pack(archive: Archive, writer: Writer, piece: Piece) -> bytes:
    """Write a piece into its file of the archive; return the new bytes of the archive."""
    conversation = piece.conversation
    if piece.is_first:
        archive.begin(
            _free_path(archive, conversation, writer.suffix),
            conversation.updated_at,
            is_large=conversation.total_messages > MANY_MESSAGES,
        )
    archive.write(writer.write(piece))
    if piece.end is not None:
        archive.end()
    return archive.take()


def _free_path(archive: Archive, conversation: ExportedConversation, suffix: str) -> str:
    path = path_of(conversation, suffix)
    return path_of(conversation, suffix, full_id=True) if archive.has(path) else path


def manifest(about: About, counts: Counts, files: Mapping[str, str] | None = None) -> bytes:
    """Return the file that describes an archive.

    Args:
        about: the metadata of every export.
        counts: how much was exported.
        files: descriptions of the other files, where needed.
    """
    named = {} if files is None else {"files": dict(files)}
    return to_json({"chatvault": about_raw(about), **named, "end": counts.to_raw()}) + b"\n"
