"""The one reader of change streams: what changes in a collection, in the order of the commits.

A stream goes on after a token. Where MongoDB cannot go on there (its oplog has rolled over, the
collection was dropped or renamed), the follower is told, and reads the collection itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure, PyMongoError

from chatvault.mongodb.database import to_domain_error

Token = dict[str, Any]
Change = Mapping[str, Any]
Stage = Mapping[str, Any]

# At most so many changes are handed out at a time.
BATCH_SIZE = 500
# How long MongoDB holds the question for what is new; a change is told at once, not after it.
AWAIT_SECONDS = 1.0
FIRST_PAUSE = 0.2
MAX_PAUSE = 5.0
# The oplog rolled over under the stream: capped position lost, fatal, history lost.
LOST_CODES = {136, 280, 286}
log = structlog.get_logger()


class StreamLost(Exception):
    """The stream cannot go on where it was, so changes may have happened that nobody has read."""


class ChangeStream:
    """An open change stream, as `watch` gives it.

    Stopping at any point, by cancellation as well, loses nothing: `token` moves only with the
    changes that `read` returns.

    Args:
        stream: the driver's.
        gather_seconds: how long to wait after a batch before MongoDB is asked again.

    Attributes:
        token: the place after all that was returned; None where MongoDB has told none yet.
    """

    def __init__(self, stream: AsyncCollectionChangeStream[Any], gather_seconds: float) -> None:
        self._stream = stream
        self._gather_seconds = gather_seconds
        self._gave_some = False
        self.token = _plain(stream.resume_token)

    async def read(self, most: int = BATCH_SIZE) -> list[Change]:
        """Return the next changes, at most so many; none if there were none for a while.

        Raises:
            StreamLost: the stream has ended, or MongoDB no longer has what comes next.
            PyMongoError: the database cannot be reached; go on with another stream.
        """
        if self._gave_some and not self._has_more():
            await asyncio.sleep(self._gather_seconds)
        changes: list[Change] = []
        try:
            while len(changes) < most and (change := await self._stream.try_next()) is not None:
                changes.append(change)
                if not self._has_more():
                    break
        except OperationFailure as error:
            if error.code in LOST_CODES:
                raise StreamLost from error
            raise
        if not changes and not self._stream.alive:
            raise StreamLost
        self._gave_some = bool(changes)
        self.token = _plain(self._stream.resume_token)
        return changes

    def _has_more(self) -> bool:
        """Whether there are changes that MongoDB has sent already."""
        return bool(self._stream._cursor._has_next())  # noqa: SLF001  # the driver tells it nowhere else


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a stream shows.

    Attributes:
        collection: whose changes; its codec options decode them.
        pipeline: a server-side `$match` and `$project`; the change's `_id` has to stay.
        await_seconds: how long MongoDB holds the question for what is new.
        gather_seconds: how long changes gather after a batch, so that each is no round trip.
    """

    collection: AsyncCollection[Any]
    pipeline: Sequence[Stage] = field(default=())
    await_seconds: float = AWAIT_SECONDS
    gather_seconds: float = 0.0


@contextlib.asynccontextmanager
async def watch(watched: Watched, token: Token | None = None) -> AsyncIterator[ChangeStream]:
    """Open a change stream, and close it in the end.

    Args:
        watched: what it shows.
        token: the place to go on after; None begins with what commits from now on.

    Raises:
        StreamLost: MongoDB cannot go on there.
        PyMongoError: the database cannot be reached.
    """
    try:
        stream = await watched.collection.watch(
            watched.pipeline,
            resume_after=token,
            max_await_time_ms=round(watched.await_seconds * 1000),
            batch_size=BATCH_SIZE,
        )
    except OperationFailure as error:
        if token is None or to_domain_error(error) is not None:
            raise
        # Too old, or of another deployment: MongoDB has many codes for that.
        raise StreamLost from error
    async with stream:
        yield ChangeStream(stream, watched.gather_seconds)


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes in the order of their commits.

    Attributes:
        token: whoever has handled these goes on after it.
        is_gap: changes before this may not have been told. The stream is open by now: what a
            reading of the collection does not show comes in the next batches.
    """

    changes: list[Change]
    token: Token | None
    is_gap: bool = False


async def follow(watched: Watched, token: Token | None = None) -> AsyncGenerator[Batch, None]:
    """Yield batches until closed; wait while MongoDB is away, longer after each failure.

    Args:
        watched: what the stream shows.
        token: of the last batch that was handled; without one the first batch is a gap.

    Raises:
        PyMongoError: MongoDB refuses; this is no outage.
    """
    failures = 0
    while True:
        is_gap = token is None
        try:
            async with watch(watched, token) as stream:
                token = stream.token
                if is_gap:
                    yield Batch([], token, is_gap=True)
                while True:
                    changes = await stream.read()
                    failures, token = 0, stream.token
                    if changes:
                        yield Batch(changes, token)
        except StreamLost:
            log.warning("change_stream_lost", collection=watched.collection.name)
            token = None
        except PyMongoError as error:
            if to_domain_error(error) is None:
                raise
            log.warning("change_stream_waits", error=type(error).__name__)
        await asyncio.sleep(min(MAX_PAUSE, FIRST_PAUSE * 2**failures))
        failures += 1


def _plain(token: Any) -> Token | None:
    return bson.decode(token.raw) if isinstance(token, RawBSONDocument) else token
