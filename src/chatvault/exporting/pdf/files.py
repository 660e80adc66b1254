"""Export conversations as PDFs: one file for most, several for long ones."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.store import MessageStore
from chatvault.exporting.archive import Archive
from chatvault.exporting.files import MANIFEST, manifest
from chatvault.exporting.names import path_of
from chatvault.exporting.pdf.markdown import Markdown
from chatvault.exporting.pdf.page import Page, pieces_of
from chatvault.exporting.pdf.typesetter import PdfFailed, Typesetter
from chatvault.exporting.reading import never, read_pieces
from chatvault.exporting.records import About, Counts, ExportedConversation, Piece

SUFFIX, MEDIA_TYPE = ".pdf", "application/pdf"
# The limits of a file in messages, bytes and lines of source: typst's memory and time grow
# with its input, and faster than linearly with many messages.
MOST_MESSAGES = 1000
MOST_BYTES = 3 * 1024 * 1024
MOST_LINES = 40_000


class Part(NamedTuple):
    """The source of one PDF.

    Attributes:
        number: its place among the files of its conversation, from 1 on.
        source: the typst code.
        plain: the same without Markdown, used where typst refuses the source.
    """

    conversation: ExportedConversation
    number: int
    source: bytes
    plain: bytes


class _Parts:
    """Splits conversations into files."""

    def __init__(self, *, is_divided: bool) -> None:
        self._is_divided = is_divided
        self._markdown = Markdown()
        self._number = 0
        self._messages = 0

    def add(self, piece: Piece) -> list[Part]:
        """Add a piece; return the files that it completes."""
        made: list[Part] = []
        if piece.is_first:
            self._number = 0
            self._open(piece.conversation)
        for message in piece.messages:
            if message.is_hidden:
                continue
            for number, each in enumerate(pieces_of(message)):
                if self._is_full():
                    made.append(self._close(piece.conversation))
                    self._open(piece.conversation)
                self._rich.add(message, each, is_first=number == 0)
                self._plain.add(message, each, is_first=number == 0)
            self._messages += 1
        if piece.end is not None:
            self._rich.end(piece.end)
            self._plain.end(piece.end)
            made.append(self._close(piece.conversation))
        return made

    def _open(self, conversation: ExportedConversation) -> None:
        self._number += 1
        self._messages = 0
        self._rich = Page(conversation, self._number, self._markdown)
        self._plain = Page(conversation, self._number, None)

    def _is_full(self) -> bool:
        return self._is_divided and (
            self._messages >= MOST_MESSAGES
            or self._rich.size >= MOST_BYTES
            or self._rich.lines >= MOST_LINES
        )

    def _close(self, conversation: ExportedConversation) -> Part:
        return Part(conversation, self._number, self._rich.source(), self._plain.source())


async def read_parts(
    access: Access,
    store: MessageStore,
    ids: Sequence[ObjectId],
    counts: Counts,
    *,
    is_divided: bool = True,
    is_full: Callable[[], bool] = never,
) -> AsyncGenerator[Part]:
    """Yield the files of these conversations, in order."""
    parts = _Parts(is_divided=is_divided)
    async with contextlib.aclosing(read_pieces(access, store, ids, counts, is_full)) as pieces:
        async for piece in pieces:
            for part in await asyncio.to_thread(parts.add, piece):
                yield part


async def fits_one_file(access: Access, store: MessageStore, conversation_id: ObjectId) -> bool:
    """Return whether the whole conversation fits into one file."""
    async with contextlib.aclosing(read_parts(access, store, [conversation_id], Counts())) as parts:
        async for part in parts:
            if part.number > 1:
                return False
    return True


async def _set(typesetter: Typesetter, part: Part) -> bytes:
    """Return the PDF, without Markdown if typst refuses it otherwise.

    Raises:
        PdfFailed: typst refuses it in both forms.
    """
    try:
        return await typesetter.make(part.source)
    except PdfFailed:
        return await typesetter.make(part.plain)


async def file_chunks(
    access: Access,
    store: MessageStore,
    conversation_id: ObjectId,
    typesetter: Typesetter,
    counts: Counts,
) -> AsyncGenerator[bytes]:
    """Yield one PDF with the conversation."""
    parts = read_parts(access, store, [conversation_id], counts, is_divided=False)
    async with contextlib.aclosing(parts):
        async for part in parts:
            yield await _set(typesetter, part)


async def archive_chunks(
    access: Access,
    store: MessageStore,
    ids: Sequence[ObjectId],
    typesetter: Typesetter,
    about: About,
    counts: Counts,
    is_full: Callable[[], bool] = never,
) -> AsyncGenerator[bytes]:
    """Yield a ZIP with the PDFs of these conversations, and a file with the counts."""
    with Archive() as archive:
        found = read_parts(access, store, ids, counts, is_full=is_full)
        async with contextlib.aclosing(found) as parts:
            async for part in parts:
                made = await _set(typesetter, part)
                archive.add(_path(archive, part), made, part.conversation.updated_at)
                yield archive.take()
        archive.add(MANIFEST, manifest(about, counts))
        yield archive.close()


def _path(archive: Archive, part: Part) -> str:
    suffix = SUFFIX if part.number == 1 else f" {part.number}{SUFFIX}"
    path = path_of(part.conversation, suffix)
    return path_of(part.conversation, suffix, full_id=True) if archive.has(path) else path
