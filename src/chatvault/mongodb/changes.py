"""The one reader of change streams: the changes of a collection in the order of their commits.

A stream resumes after a token. Where MongoDB cannot resume there (its oplog has rolled over, the
collection was dropped or renamed), the follower gets a gap, and reads the collection itself.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import bson
import structlog
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure, PyMongoError

from chatvault.mongodb.database import to_domain_error

Token = dict[str, Any]
Change = Mapping[str, Any]
Stage = Mapping[str, Any]

# The most changes in one batch.
BATCH_SIZE = 500
# How long MongoDB holds a request for new changes; it answers at once when there is one.
AWAIT_SECONDS = 1.0
FIRST_PAUSE = 0.2
MAX_PAUSE = 5.0
# The oplog rolled over under the stream: capped position lost, fatal, history lost.
LOST_CODES = {136, 280, 286}
log = structlog.get_logger()


class StreamLost(Exception):
    """The stream cannot resume where it was, so changes may have been missed."""


class ChangeStream:
    """An open change stream, made by `watch`.

    Stopping at any point, even by cancellation, loses nothing: `token` advances only with the
    changes that `read` returns.

    Args:
        stream: the driver's.
        gather_seconds: how long to wait after a batch before MongoDB is asked again.

        since: the time of MongoDB's clock from which on it has all changes, if it looks back.

    Attributes:
        token: the position after all returned changes; None until MongoDB has sent one.
        since: as above.
    """

    def __init__(
        self,
        stream: AsyncCollectionChangeStream[Any],
        gather_seconds: float,
        since: Timestamp | None = None,
    ) -> None:
        self._stream = stream
        self._gather_seconds = gather_seconds
        self._gave_some = False
        self.token = _plain(stream.resume_token)
        self.since = since

    async def read(self, most: int = BATCH_SIZE) -> list[Change]:
        """Return the next changes, at most `most`; an empty list if there were none for a while.

        Raises:
            StreamLost: the stream has ended, or MongoDB no longer has what comes next.
            PyMongoError: the database cannot be reached; continue with another stream.
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
        """Whether MongoDB has already sent further changes."""
        return bool(self._stream._cursor._has_next())  # noqa: SLF001  # the driver tells it nowhere else


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The options of a change stream.

    Attributes:
        collection: the collection to follow; its codec options decode the changes.
        pipeline: a server-side `$match` and `$project`; the change's `_id` has to stay.
        await_seconds: how long MongoDB holds a request for new changes.
        gather_seconds: how long changes gather after a batch, to save round trips.
        look_back_seconds: how old the first changes of a stream without a token may be.
    """

    collection: AsyncCollection[Any]
    pipeline: Sequence[Stage] = field(default=())
    await_seconds: float = AWAIT_SECONDS
    gather_seconds: float = 0.0
    look_back_seconds: int = 0


@contextlib.asynccontextmanager
async def watch(watched: Watched, token: Token | None = None) -> AsyncIterator[ChangeStream]:
    """Open a change stream, and close it at the end.

    Args:
        watched: the options of the stream.
        token: the position to resume after; None begins with the changes that commit from now on,
            or with those of the last `look_back_seconds`.

    Raises:
        StreamLost: MongoDB cannot resume there, or look back so far.
        PyMongoError: the database cannot be reached.
    """
    since = None
    if token is None and watched.look_back_seconds:
        at = (await watched.collection.database.command("ping"))["operationTime"]
        since = Timestamp(at.time - watched.look_back_seconds, at.inc)
    try:
        stream = await watched.collection.watch(
            watched.pipeline,
            resume_after=token,
            start_at_operation_time=since,
            max_await_time_ms=round(watched.await_seconds * 1000),
            batch_size=BATCH_SIZE,
        )
    except OperationFailure as error:
        if (token is None and since is None) or to_domain_error(error) is not None:
            raise
        # The token is too old, or of another deployment: MongoDB has many codes for that.
        raise StreamLost from error
    async with stream:
        yield ChangeStream(stream, watched.gather_seconds, since)


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes in the order of their commits.

    Attributes:
        token: the position after these changes, to resume from once they are handled.
        is_gap: changes before this batch may have been missed. The stream is already open: changes
            that a reading of the collection does not show come in the next batches.
        since: after a gap, the time from which on the stream has all changes, if it looks back.
    """

    changes: list[Change]
    token: Token | None
    is_gap: bool = False
    since: Timestamp | None = None


async def follow(
    watched: Watched, token: Token | None = None, *, shows_idle: bool = False
) -> AsyncGenerator[Batch, None]:
    """Yield batches until closed; while MongoDB is away, retry with growing pauses.

    Args:
        watched: the options of the stream.
        token: of the last batch that was handled; without one the first batch is a gap.
        shows_idle: yield empty batches too, whose tokens tell how far the stream is.

    Raises:
        PyMongoError: MongoDB refuses the request, rather than being unavailable.
    """
    failures = 0
    while True:
        is_gap = token is None
        try:
            async with watch(watched, token) as stream:
                token = stream.token
                if is_gap:
                    yield Batch([], token, is_gap=True, since=stream.since)
                while True:
                    changes = await stream.read()
                    failures, token = 0, stream.token
                    if changes or shows_idle:
                        yield Batch(changes, token)
        except StreamLost:
            log.warning("change_stream_lost", collection=watched.collection.name)
            # Looking back would meet the same end again.
            token, watched = None, replace(watched, look_back_seconds=0)
        except PyMongoError as error:
            if to_domain_error(error) is None:
                raise
            log.warning("change_stream_waits", error=type(error).__name__)
        await asyncio.sleep(min(MAX_PAUSE, FIRST_PAUSE * 2**failures))
        failures += 1


def _plain(token: Any) -> Token | None:
    return bson.decode(token.raw) if isinstance(token, RawBSONDocument) else token
