"""Write one part of an export into MongoDB in chunks."""

import asyncio
import contextlib
import hashlib
import zlib
from collections.abc import Sequence

from bson import ObjectId

from chatvault.access import Access
from chatvault.actor import Actor
from chatvault.exporting.files import ARCHIVE
from chatvault.exporting.jobs.models import CHUNK_BYTES, ExportChunk, PartDoc
from chatvault.exporting.names import name_of_export
from chatvault.exporting.records import About, Counts
from chatvault.exporting.schemas import ConversationFormat
from chatvault.exporting.service import many_chunks
from chatvault.exporting.turns import ExportDeps
from chatvault.fields import Raw

PART_BYTES = 64 * 1024 * 1024
GZIP = (".gz", "application/gzip")
# The value of zlib's `wbits` for gzip with the largest window.
GZIP_WINDOW = 31


class _Chunks:
    """Stores bytes in chunks of equal size."""

    def __init__(self, actor: Actor, export_id: ObjectId) -> None:
        self.writing = ObjectId()
        self.size = 0
        self._actor = actor
        self._export_id = export_id
        self._hash = hashlib.sha256()
        self._waiting = bytearray()
        self._next = 0

    @property
    def hash(self) -> str:
        """The hash of all bytes so far."""
        return self._hash.hexdigest()

    async def add(self, data: bytes) -> None:
        """Add bytes; store the chunks that are full."""
        self._hash.update(data)
        self.size += len(data)
        self._waiting += data
        while len(self._waiting) >= CHUNK_BYTES:
            await self._store(bytes(self._waiting[:CHUNK_BYTES]))
            del self._waiting[:CHUNK_BYTES]

    async def end(self) -> None:
        """Store the rest."""
        if self._waiting:
            await self._store(bytes(self._waiting))

    async def _store(self, data: bytes) -> None:
        await ExportChunk.get_pymongo_collection().insert_one(
            ExportChunk.owned_by(
                self._actor,
                _id=ObjectId(),
                export_id=self._export_id,
                writing=self.writing,
                no=self._next,
                data=data,
            )
        )
        self._next += 1


async def write_part(
    actor: Actor,
    deps: ExportDeps,
    job: Raw,
    ids: Sequence[ObjectId],
    about: About,
    counts: Counts,
) -> PartDoc:
    """Write the first of these conversations until the part is full, and return the part.

    Args:
        actor: the owner of the conversations.
        deps: the dependencies of exports.
        job: the export.
        ids: the ids of the remaining conversations.
        about: the metadata of every file.
        counts: counts what is in the part, and thus how many of `ids` are done.

    Raises:
        PdfFailed: a PDF cannot be made.
        Busy: messages were removed in the middle.
        PyMongoError: MongoDB cannot be reached.
    """
    stored = _Chunks(actor, job["_id"])
    chunks, (suffix, media_type) = many_chunks(
        Access.of(actor),
        deps,
        ids,
        ConversationFormat(job["format"]),
        about,
        counts,
        is_full=lambda: stored.size >= PART_BYTES,
        attachments=job.get("attachments", False),
    )
    is_archive = suffix == ARCHIVE[0]
    if not is_archive:
        suffix, media_type = suffix + GZIP[0], GZIP[1]
    gzip = zlib.compressobj(level=1, wbits=GZIP_WINDOW)
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            await stored.add(chunk if is_archive else await asyncio.to_thread(gzip.compress, chunk))
    if not is_archive:
        await stored.add(gzip.flush())
    await stored.end()
    name = f"chatvault conversations part {len(job['parts']) + 1}"
    return PartDoc(
        writing=stored.writing,
        name=name_of_export(name, job["created_at"], suffix),
        media_type=media_type,
        bytes=stored.size,
        hash=stored.hash,
        conversations=counts.conversations,
        messages=counts.messages,
    )
