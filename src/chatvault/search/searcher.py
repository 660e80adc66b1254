"""Searching: what is known of each user, refreshed at every search."""

import asyncio
import contextlib
import time
from contextlib import aclosing
from functools import partial
from typing import Final, Self

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from chatvault.access import Access
from chatvault.conversations.reading.ranges import walk_range
from chatvault.conversations.store import MessageStore
from chatvault.errors import ChatvaultError, Unavailable
from chatvault.mongodb import leases
from chatvault.mongodb.turns import Turns
from chatvault.search import files as index_files
from chatvault.search import index
from chatvault.search.feed import Feed
from chatvault.search.files import IndexFiles, IndexTrouble, Unreadable
from chatvault.search.index import Text
from chatvault.search.known import Known, Unit, Waiting
from chatvault.search.opened import OpenIndex
from chatvault.search.states import HEAD_FIELDS, Head
from chatvault.search.terms import Words
from chatvault.search.updating import Update, text_of
from chatvault.search.workspace import Workspace
from chatvault.search.writer import IndexWriter
from chatvault.settings import Settings
from chatvault.tasks import stop

# The most messages, and their characters, that a search reads and looks through beside the index;
# more are indexed.
MOST_WAITING: Final = 2000
MOST_CHARACTERS: Final = 4_000_000
# Open indexes of a process; each has a thread, and many memory maps.
MOST_OPEN: Final = 64
AT_ONCE: Final = 100
FEED_SECONDS: Final = 10.0
COLLECT_SECONDS: Final = 60.0
MB: Final = 1024 * 1024
log = structlog.get_logger()


class Searcher:
    """Keeps what this process knows of users who search, and their indexes.

    Args:
        store: reads conversations and messages.
        workspace: has room for open indexes.
        megabytes: of open indexes together; the least recently used are given up.
        files: stores indexes.
    """

    def __init__(
        self,
        store: MessageStore,
        workspace: Workspace,
        megabytes: int,
        files: IndexFiles | None = None,
    ) -> None:
        self.store = store
        self.files = files or IndexFiles()
        self.feed = Feed(Known.close)
        # A user searches once at a time in a process: the threads for it are few, and for all.
        self.turns = Turns()
        self._workspace = workspace
        self._most_bytes = megabytes * MB
        self._writer = IndexWriter()

    @classmethod
    def of(cls, settings: Settings, store: MessageStore) -> Self:
        """Return the one that the settings describe."""
        return cls(store, Workspace(settings.search_dir), settings.search_megabytes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await stop(*(known.update for known in self.feed if known.update is not None))
        await self._writer.close()
        await asyncio.to_thread(self._workspace.close)

    async def refresh(self, access: Access) -> Known:
        """Return what is known of a user, with all changes that the log has shown.

        Raises:
            PyMongoError: the database cannot be reached.
            Unavailable: its changes cannot be followed now.
        """
        known = self.feed.find(access.owner_id)
        if known is None:
            known = Known(access)
            self.feed.add(known)
        known.used_at = time.monotonic()
        try:
            async with asyncio.timeout(FEED_SECONDS):
                await self.feed.opened()
        except TimeoutError:
            raise Unavailable(retry_after=1) from None
        async with known.lock:
            changed = await self._read_heads(known)
            is_new = await self._open(known)
            if is_new or changed is None or changed:
                known.compare(None if is_new else changed)
            await self._read_waiting(known)
        await self._keep_up(known)
        self._limit(known)
        return known

    async def _read_heads(self, known: Known) -> set[ObjectId] | None:
        """Read the conversations that changed; return which, None for all."""
        changed, known.stale = known.stale, set()
        with contextlib.ExitStack() as undo:
            undo.callback(known.forget)
            if known.heads is None:
                # Set before, so that a gap while they are read has them read again.
                known.heads = {}
                found = await self.store.list_fields(known.access, HEAD_FIELDS)
                if known.heads is not None:
                    known.heads = {each["_id"]: Head.of(each) for each in found}
                undo.pop_all()
                return None
            if changed:
                found = await self.store.list_fields(known.access, HEAD_FIELDS, [*changed])
                read = {each["_id"]: Head.of(each) for each in found}
                kept = (known.heads or {}).items()
                known.heads = {each: head for each, head in kept if each not in changed} | read
            undo.pop_all()
        return changed

    async def _open(self, known: Known) -> bool:
        """Open the newest version of the index; return whether it is another one."""
        if not index.is_installed():
            return False
        stored = await self.files.find(known.access)
        before = known.opened
        if stored is None:
            known.close()
            return before is not None
        if before is not None and _version(before.index) == _version(stored):
            return False
        try:
            directory = self._workspace.make()
            known.opened = await OpenIndex.open(known.access, self.files, stored, directory, before)
        except Unreadable:
            log.warning("search_index_unreadable", user_id=str(known.access.owner_id))
            await index_files.remove(known.access, stored)
            known.opened = None
        known.is_purged_later = False
        if before is not None:
            before.close()
        await index_files.note_use(known.access)
        return True

    async def _read_waiting(self, known: Known) -> None:
        """Read messages that the index does not have, of the newest conversations."""
        heads, room, wanted = known.heads or {}, MOST_WAITING, dict[ObjectId, range]()
        kept = set[ObjectId]()
        for each in known.newest_first:
            if room <= 0:
                break
            kept.add(each)
            places = known.missing[each]
            places = places[-room:] if room < len(places) else places
            room -= len(places)
            read = known.waiting.get(each)
            if read is None or read.wanted != places or read.state != heads[each].state:
                known.waiting.pop(each, None)
                wanted[each] = places
        for each in known.waiting.keys() - kept:
            del known.waiting[each]
        characters = known.characters
        ids = [*wanted]
        for first in range(0, len(ids), AT_ONCE):
            if characters >= MOST_CHARACTERS:
                break
            some = {each: wanted[each] for each in ids[first:][:AT_ONCE]}
            characters += await self._read_some(known, some, MOST_CHARACTERS - characters)

    async def _read_some(self, known: Known, wanted: dict[ObjectId, range], room: int) -> int:
        """Read messages until there is no room for more; return the number of characters."""
        found = await self.store.find_conversations(known.access, [*wanted])
        characters = 0
        for each, places in wanted.items():
            if each not in found or characters >= room:
                continue
            units, end = list[Unit](), places.start
            runs = walk_range(known.access, self.store, found[each], places.start)
            async with aclosing(runs) as reading:
                async for run, after in reading:
                    texts = [text for message in run if (text := text_of(each, message))]
                    units += await asyncio.to_thread(_to_units, texts)
                    characters += sum(len(text.content) for text in texts)
                    end = after
                    if characters >= room:
                        break
            read = range(places.start, end)
            known.waiting[each] = Waiting(Head.of(found[each]).state, places, read, units)
        return characters

    async def _keep_up(self, known: Known) -> None:
        """Begin to bring the index up to date, where it lacks too much."""
        if not index.is_installed():
            return
        if known.is_outdated and known.opened is not None and not known.is_purged_later:
            await index_files.purge_later(known.access)
            known.is_purged_later = True
        if _lacks_much(known) and known.update is None:
            known.update = asyncio.create_task(self._update(known))
            known.update.add_done_callback(partial(_end_update, known))

    async def _update(self, known: Known) -> None:
        try:
            async with leases.hold(f"search.{known.access.owner_id}"):
                async with known.lock:
                    # Another process may have done it while this one waited.
                    if await self._open(known):
                        known.compare()
                if _lacks_much(known):
                    update = Update(known, self.store, self.files, self._writer, self._workspace)
                    await update.run()
        except (ChatvaultError, IndexTrouble, PyMongoError, OSError) as error:
            # The next search tries again.
            log.warning("search_index_not_updated", error=type(error).__name__)

    async def updated(self, known: Known) -> None:
        """Wait until the index is up to date, if that is under way."""
        if known.update is not None:
            await asyncio.wait([known.update])

    def forget(self, user_id: ObjectId) -> None:
        """Drop what is known of a user, and the files of the open index."""
        known = self.feed.find(user_id)
        if known is not None:
            if known.update is not None:
                known.update.cancel()
            self.feed.remove(known)

    def _limit(self, used: Known) -> None:
        """Give up the indexes that were not used for longest, where there are too many."""
        by_use = sorted(self.feed, key=lambda known: known.used_at, reverse=True)
        room = self._most_bytes
        for count, known in enumerate(by_use, 1):
            room -= known.opened.index["bytes"] if known.opened else 0
            is_too_much = room < 0 or count > MOST_OPEN
            is_idle = known.update is None and not known.lock.locked()
            if is_too_much and known is not used and is_idle:
                self.feed.remove(known)


def _lacks_much(known: Known) -> bool:
    """Whether the index lacks more than a search looks through beside it."""
    return known.missing_count > MOST_WAITING or known.characters >= MOST_CHARACTERS


def _to_units(texts: list[Text]) -> list[Unit]:
    return [
        Unit(text.conversation, text.seq, text.at, text.role, Words.of(text.content))
        for text in texts
    ]


def _version(stored: dict[str, object]) -> tuple[object, object]:
    """Return what another version differs in; one that was built again begins with 1."""
    return stored["version"], stored["files"]


def _end_update(known: Known, task: asyncio.Task[None]) -> None:
    known.update = None
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("search_index_failed", exc_info=error)


async def run_collection() -> None:
    """Remove what no index has any more, periodically, until cancelled."""
    while True:
        try:
            await index_files.collect()
        except (PyMongoError, ChatvaultError) as error:
            log.warning("search_files_not_collected_yet", error=type(error).__name__)
        await asyncio.sleep(COLLECT_SECONDS)
