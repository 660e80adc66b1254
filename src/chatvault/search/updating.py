"""Bringing a user's index up to date with the stored messages."""

import asyncio
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bson import ObjectId

from chatvault.access import Access
from chatvault.conversations.reading.ranges import walk_range
from chatvault.conversations.shapes import ConversationDoc, StoredMessage
from chatvault.conversations.store import MessageStore
from chatvault.search.files import IndexFiles
from chatvault.search.index import Text
from chatvault.search.known import Known
from chatvault.search.opened import OpenIndex, publish
from chatvault.search.states import Head, State, is_outdated, missing, to_milliseconds
from chatvault.search.workspace import Workspace
from chatvault.search.writer import IndexWriter
from chatvault.tasks import stop

# Messages, or characters, of one step.
STEP: Final = 4000
STEP_CHARACTERS: Final = 4_000_000
# What is done so far is stored, and searched, after so long.
PUBLISH_SECONDS: Final = 4.0
AT_ONCE: Final = 50


@dataclass(slots=True)
class _Step:
    """The changes that are written at once."""

    dropped: list[str] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    characters: int = 0

    def is_full(self) -> bool:
        return len(self.texts) >= STEP or self.characters >= STEP_CHARACTERS


class Update:
    """Writes one user's index; one process does so at a time.

    Args:
        known: the user, whose index is exchanged with each part that is done.
        store: reads the messages.
        files: stores the index.
        writer: writes it.
        workspace: has room for it.
    """

    def __init__(
        self,
        known: Known,
        store: MessageStore,
        files: IndexFiles,
        writer: IndexWriter,
        workspace: Workspace,
    ) -> None:
        self._known = known
        self._access: Access = known.access
        self._store = store
        self._files = files
        self._writer = writer
        self._workspace = workspace
        self._states: dict[ObjectId, State] = dict(known.states)
        self._step = _Step()
        self._writing: asyncio.Task[None] | None = None
        self._before: OpenIndex | None = None
        self._directory: Path | None = None
        self._published = time.monotonic()

    async def run(self) -> None:
        """Write what is missing, and what is gone.

        Raises:
            Overtaken: another process has changed the index.
            NotWritten: it could not be written.
            OSError: there is no room for it.
        """
        try:
            self._directory = self._begin()
            heads = self._known.heads or {}
            for gone in self._states.keys() - heads.keys():
                del self._states[gone]
                self._step.dropped.append(str(gone))
            wanted = self._known.newest_first
            for first in range(0, len(wanted), AT_ONCE):
                ids = wanted[first : first + AT_ONCE]
                found = await self._store.find_conversations(self._access, ids)
                for each in ids:
                    if each in found:
                        await self._add(found[each])
            await self._write()
            await self._publish()
        finally:
            if self._writing is not None:
                await stop(self._writing)
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _begin(self) -> Path:
        """Return a directory with the files of the newest version."""
        directory = self._workspace.make()
        self._before = self._known.opened
        if self._before is not None:
            self._before.copy_to(directory)
        return directory

    async def _add(self, conversation: ConversationDoc) -> None:
        """Add what is missing of a conversation."""
        conversation_id, now = conversation["_id"], Head.of(conversation).state
        before = self._states.get(conversation_id)
        if before is not None and is_outdated(before, now):
            self._step.dropped.append(str(conversation_id))
        runs = walk_range(self._access, self._store, conversation, missing(before, now).start)
        async for messages, after in runs:
            for message in messages:
                if (text := text_of(conversation_id, message)) is not None:
                    self._step.texts.append(text)
                    self._step.characters += len(text.content)
            self._states[conversation_id] = now._replace(next_seq=after)
            if self._step.is_full():
                await self._write()
                if time.monotonic() - self._published >= PUBLISH_SECONDS:
                    await self._publish()

    async def _write(self) -> None:
        """Begin to write what was read, while more is read."""
        await self._written()
        step, self._step = self._step, _Step()
        if self._directory is not None:
            writing = self._writer.write(self._directory, step.dropped, step.texts)
            self._writing = asyncio.create_task(writing)

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def _publish(self) -> None:
        """Store what is done, and let searches use it."""
        await self._written()
        known, directory = self._known, self._directory
        if directory is None:
            return
        index = await publish(self._access, self._files, self._before, directory, self._states)
        async with known.lock:
            opened = await OpenIndex.open(
                self._access, self._files, index, self._workspace.make(), known.opened
            )
            known.close()
            known.opened = opened
            known.compare()
        # From what is stored: names of files are new there, where they were written twice.
        shutil.rmtree(directory, ignore_errors=True)
        self._directory = self._begin()
        self._published = time.monotonic()


def text_of(conversation_id: ObjectId, stored: StoredMessage) -> Text | None:
    """Return what is indexed of a message; None if it is hidden, or has no text."""
    message = stored.message
    content = message.get("content")
    if not content or message.get("hidden"):
        return None
    return Text(
        str(conversation_id), stored.seq, time_of(stored), message.get("role") or "", content
    )


def time_of(stored: StoredMessage) -> int:
    """Return when a message was written, in milliseconds; 0 if that is not known."""
    at = stored.message.get("timestamp")
    return 0 if at is None else to_milliseconds(at)
