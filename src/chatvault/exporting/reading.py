"""Read conversations for an export in bounded memory, and detect changes during the export."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.categories import list_paths
from chatvault.conversations.reading.consistency import has_segments
from chatvault.conversations.reading.pages import stream
from chatvault.conversations.reading.paths import is_branched
from chatvault.conversations.shapes import ConversationDoc
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy
from chatvault.exporting.attached import find_attached, find_attachments
from chatvault.exporting.branches import Branches
from chatvault.exporting.records import (
    CategoryPaths,
    Completeness,
    Counts,
    ExportedConversation,
    ExportedMessage,
    Piece,
)

# The number of documents read at a time; each has up to 128 KB of messages, or a long one.
AT_ONCE = 8
# A conversation of up to this many BSON bytes is read again if it changes; others are streamed.
WHOLE_BYTES = 1024 * 1024
ATTEMPTS = 5


def never() -> bool:
    """Return False: the file is never full."""
    return False


async def read_pieces(
    access: Access,
    store: MessageStore,
    ids: Sequence[ObjectId],
    counts: Counts,
    is_full: Callable[[], bool] = never,
    *,
    whole: bool = False,
    beside: bool = False,
) -> AsyncGenerator[Piece]:
    """Yield the conversations with these ids, in this order, piece by piece.

    Args:
        access: to their owner's data.
        store: reads them.
        ids: their ids; those that are deleted meanwhile are left out and counted.
        counts: counts what is yielded.
        is_full: called before each conversation but the first; when true, the rest is left out.
        whole: whether to yield the messages of all branches, or of the one that is shown.
        beside: whether the bytes of attachments are in the same archive.
    """
    categories = await list_paths(access)
    for start in range(0, len(ids), AT_ONCE):
        batch = ids[start : start + AT_ONCE]
        documents = await store.find_conversations(access, list(batch))
        attached = await find_attached(access, batch) if whole or beside else ()
        for conversation_id in batch:
            if counts.conversations and is_full():
                return
            document = documents.pop(conversation_id, None)
            if document is None:
                counts.deleted += 1
                continue
            attachments = (
                await find_attachments(access, conversation_id, beside=beside)
                if conversation_id in attached
                else []
            )
            async with contextlib.aclosing(
                _read(access, store, document, categories, whole=whole)
            ) as pieces:
                async for piece in pieces:
                    counts.count(piece)
                    if attachments:
                        yield piece.with_attachments(attachments)
                    else:
                        yield piece


async def _read(
    access: Access,
    store: MessageStore,
    document: ConversationDoc,
    categories: CategoryPaths,
    *,
    whole: bool,
) -> AsyncGenerator[Piece]:
    if document["message_bytes"] <= WHOLE_BYTES:
        yield await _read_whole(access, store, document, categories, whole=whole)
        return
    conversation, branches = await _open(access, store, document, categories, whole=whole)
    is_first = True
    try:
        async with contextlib.aclosing(_messages(access, store, document, branches)) as runs:
            async for run in runs:
                yield Piece(conversation, run, is_first, None)
                is_first = False
    except Busy:
        end = Completeness.CUT
    else:
        same = await _find_unchanged(access, store, document) is document
        end = Completeness.WHOLE if same else Completeness.CHANGED
    yield Piece(conversation, [], is_first, end)


async def _read_whole(
    access: Access,
    store: MessageStore,
    document: ConversationDoc,
    categories: CategoryPaths,
    *,
    whole: bool,
) -> Piece:
    """Return a short conversation in one piece, read again if it changed meanwhile."""
    for attempt in range(ATTEMPTS):
        messages: list[ExportedMessage] = []
        end = Completeness.CUT
        conversation, branches = await _open(access, store, document, categories, whole=whole)
        with contextlib.suppress(Busy):
            async for run in _messages(access, store, document, branches):
                messages += run
            end = Completeness.WHOLE
        current = await _find_unchanged(access, store, document)
        if current is not None and current is not document and attempt < ATTEMPTS - 1:
            document = current
            continue
        if end is Completeness.WHOLE and current is not document:
            end = Completeness.CHANGED
        break
    return Piece(conversation, messages, is_first=True, end=end)


async def _open(
    access: Access,
    store: MessageStore,
    document: ConversationDoc,
    categories: CategoryPaths,
    *,
    whole: bool,
) -> tuple[ExportedConversation, Branches | None]:
    """Return the record of a conversation, and its branches if all are wanted and there are any."""
    conversation = ExportedConversation.of(document, categories)
    if not (whole and is_branched(document)):
        return conversation, None
    branches = Branches(access, store, document)
    return replace(conversation, active_leaf=await branches.open()), branches


async def _messages(
    access: Access, store: MessageStore, document: ConversationDoc, branches: Branches | None
) -> AsyncGenerator[list[ExportedMessage]]:
    """Yield the messages that the document lists, in runs that are not empty."""
    everything = stream(access, store, document, whole=branches is not None)
    async with contextlib.aclosing(everything) as runs:
        async for run in runs:
            if run:
                named = run if branches is None else await branches.name_parents(run)
                yield [ExportedMessage.of(stored) for stored in named]


async def _find_unchanged(
    access: Access, store: MessageStore, document: ConversationDoc
) -> ConversationDoc | None:
    """Return the document itself if no message changed since, else the current one, if any.

    Messages in the document itself cannot have changed in between. Messages that were
    appended since do not count as a change.
    """
    if not has_segments(document):
        return document
    current = await store.find_conversation(access, document["_id"])
    if current is None or _edit_version(current) != _edit_version(document):
        return current
    return document


def _edit_version(document: ConversationDoc) -> tuple[ObjectId, int]:
    """Return a value that every edit, removal and replacement of messages changes."""
    return document["generation"], document.get("edits", 0)
