"""Limit concurrent exports, as each holds some megabytes for as long as it is downloaded."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator

from bson import ObjectId

from chatvault.actor import Actor
from chatvault.attachments.files import FileStore
from chatvault.audit.models import Entry
from chatvault.audit.recorder import Recorder
from chatvault.conversations.store import MessageStore
from chatvault.errors import Busy, Throttled
from chatvault.exporting.pdf.typesetter import Typesetter
from chatvault.mongodb.rates import Rate

AT_ONCE = 16
OF_ONE_USER = 2
WAIT_SECONDS = 15.0


class ExportDeps:
    """The dependencies of exports.

    Args:
        store: reads conversations.
        recorder: takes the audit entries.
        typesetter: makes PDFs.
        rate: limits the exports of a user; None at the command line.
        files: reads the bytes of attachments; None leaves them out.

    Attributes:
        due: set when an export in the background may be waiting to be made or removed.
    """

    def __init__(
        self,
        store: MessageStore,
        recorder: Recorder,
        typesetter: Typesetter,
        rate: Rate | None = None,
        files: FileStore | None = None,
    ) -> None:
        self.store = store
        self.typesetter = typesetter
        self.recorder = recorder
        self.files = files
        self.due = asyncio.Event()
        self._rate = rate
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._running: Counter[ObjectId] = Counter()

    async def admit(self, actor: Actor) -> None:
        """Count one export against the user's rate.

        Raises:
            Throttled: too many in this minute.
        """
        if self._rate is not None:
            await self._rate.admit(str(actor.owner_id))

    async def begin(
        self, actor: Actor, entry: Entry, chunks: AsyncGenerator[bytes]
    ) -> AsyncGenerator[bytes]:
        """Take a slot, record the audit entry, and return the chunks, whose end frees the slot.

        Raises:
            Throttled: too many exports of the actor are running.
            Busy: others export.
        """
        begun = self._run(actor, entry, chunks)
        # Runs to this point at once, so that closing the generator from here on frees the slot.
        await anext(begun)
        return begun

    async def _run(
        self, actor: Actor, entry: Entry, chunks: AsyncGenerator[bytes]
    ) -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(chunks), self._turn(actor.owner_id):
            await self.recorder.record(entry)
            yield b""
            async for chunk in chunks:
                yield chunk

    @contextlib.asynccontextmanager
    async def _turn(self, owner_id: ObjectId) -> AsyncIterator[None]:
        if self._running[owner_id] >= OF_ONE_USER:
            raise Throttled(
                f"At most {OF_ONE_USER} exports at a time; wait until one of yours has ended.",
                retry_after=5,
            )
        self._running[owner_id] += 1
        try:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._turns.acquire()
            except TimeoutError:
                raise Busy(
                    "Others export at this moment; try again shortly", retry_after=5
                ) from None
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._running[owner_id] -= 1
            if not self._running[owner_id]:
                del self._running[owner_id]
