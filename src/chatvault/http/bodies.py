"""Reading request bodies, with limits on their size, their pace, and the memory they share."""

import asyncio
import contextlib
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator

from aiohttp import StreamReader, hdrs, web

from chatvault.errors import Busy, Malformed, TooLarge, TooSlow, UnsupportedMediaType
from chatvault.http.json_slices import BULK_WEIGHT, WEIGHT_BYTES, Text, weigh
from chatvault.slices import SliceQueue, sliced

KB = 1024
MB = 1024 * KB
# The limit of a body unless its route sets another. One call parses a body of this size.
SMALL_BODY = 16 * KB
# The limit for the largest valid value, which JSON escapes and indents make some times larger.
LINE_BODY = 128 * KB
FREE_BODY = 2 * MB
MESSAGE_BODY = 8 * MB
PICTURES_BODY = 20 * MB
BULK_BODY = 32 * MB
# A body must be complete after this time, or come at least at this pace from then on.
GRACE_SECONDS = 30.0
BYTES_A_SECOND = 10 * KB
# A large body that gets no room within this time is refused.
ROOM_SECONDS = 15.0
GZIP_OR_ZLIB = 47  # zlib's parameter for either format
PART = 64 * KB
BROKEN = "The body cannot be unpacked, or ends too early."
BODY: web.RequestKey[Text] = web.RequestKey("body", bytes)


class Budget:
    """A budget of bytes, with a share for each client; a request for more waits.

    Args:
        total: for all clients together.
        share: for one client.
    """

    def __init__(self, total: int, share: int) -> None:
        self._total = total
        self._share = share
        self._held: Counter[Hashable] = Counter()
        self._freed = asyncio.Event()

    async def take(self, who: Hashable, size: int) -> None:
        """Wait until there is room for `size` bytes.

        Raises:
            Busy: there was no room for 15 seconds.
        """
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                while not self._fits(who, size):
                    await self._freed.wait()
        except TimeoutError:
            raise Busy(
                "Too many large requests at the same time; try again shortly", retry_after=1
            ) from None
        self._held[who] += size

    def _fits(self, who: Hashable, size: int) -> bool:
        # A body larger than a share is admitted when its client holds nothing else.
        mine = self._held[who]
        if mine and mine + size > self._share:
            return False
        others = self._held.total() - mine
        return not others or others + mine + size <= self._total

    def give_back(self, who: Hashable, size: int) -> None:
        """Release room."""
        self._held[who] -= size
        if not self._held[who]:
            del self._held[who]
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()


class Bodies:
    """The memory and time that the large bodies of a process share."""

    def __init__(self) -> None:
        self._queue = SliceQueue()
        self._texts = Budget(4 * BULK_BODY, BULK_BODY)
        self._values = Budget(2 * BULK_WEIGHT * WEIGHT_BYTES, BULK_WEIGHT * WEIGHT_BYTES)

    @contextlib.asynccontextmanager
    async def room(self, who: Hashable, size: int) -> AsyncIterator["Room"]:
        """Hold room for a text of this size and for the values parsed from it.

        Raises:
            Busy: there is no room.
        """
        await self._texts.take(who, size)
        room = Room(self._queue, self._values, who)
        try:
            yield room
        finally:
            room.close()
            self._texts.give_back(who, size)


class Room:
    """The room that one request holds.

    Attributes:
        queue: the queue for the work on its body.
    """

    def __init__(self, queue: SliceQueue, values: Budget, who: Hashable) -> None:
        self.queue = queue
        self._values = values
        self._who = who
        self._size = 0

    async def admit(self, text: Text, *, max_weight: int) -> None:
        """Take room for the values of a text that is parsed once; they stay until the request ends.

        Raises:
            TooLarge: it has more structure than is allowed.
            Busy: there is no room for its values.
        """
        size = await weigh(text, limit=max_weight) * WEIGHT_BYTES
        await self._values.take(self._who, size)
        self._size = size

    def close(self) -> None:
        """Release the room."""
        if self._size:
            self._values.give_back(self._who, self._size)


def size_to_expect(request: web.Request, limit: int) -> int:
    """Return how many bytes a body will have at most.

    Raises:
        TooLarge: its Content-Length is above the limit.
    """
    if not request.body_exists:
        return 0
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    return limit if length is None or hdrs.CONTENT_ENCODING in request.headers else length


async def read_body(request: web.Request, limit: int) -> Text:
    """Return the whole body, decompressed; it stays with the request under `BODY`.

    Raises:
        TooLarge: it has more bytes than the limit.
        TooSlow: it came more slowly than the minimum pace.
        Malformed: it cannot be decompressed, or is incomplete.
    """
    try:
        body = await _read(request.content, limit)
    except (web.RequestPayloadError, ConnectionError):
        raise Malformed(BROKEN) from None
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
    # aiohttp's own server decompresses before; ours leaves that to this function.
    if encoding != "identity" and request.content.total_compressed_bytes is None:
        body = await _unpack(body, encoding, limit)
    request[BODY] = body
    return body


async def _read(content: StreamReader, limit: int) -> Text:
    body = bytearray()
    due = asyncio.get_running_loop().time() + GRACE_SECONDS
    while chunk := await _next_chunk(content, due + len(body) / BYTES_A_SECOND):
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return body


async def body_chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield a body of any length as it comes, as it is; nothing of it is kept.

    Raises:
        TooSlow: it came more slowly than the minimum pace.
        Malformed: it broke off.
        UnsupportedMediaType: it is compressed.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMediaType("The body of this request may not be compressed")
    due = asyncio.get_running_loop().time() + GRACE_SECONDS
    got = 0
    try:
        while chunk := await _next_chunk(request.content, due + got / BYTES_A_SECOND):
            got += len(chunk)
            yield chunk
    except (web.RequestPayloadError, ConnectionError):
        raise Malformed(BROKEN) from None


async def _next_chunk(content: StreamReader, due: float) -> bytes:
    if content.is_eof():  # complete already, as small bodies mostly are
        return await content.readany()
    try:
        async with asyncio.timeout_at(due):
            return await content.readany()
    except TimeoutError:
        raise TooSlow from None


async def _unpack(packed: Text, encoding: str, limit: int) -> Text:
    """Return the decompressed body, which may be a thousand times larger."""
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise UnsupportedMediaType("The body's Content-Encoding must be gzip or deflate")
    body = bytearray()
    async for part in sliced(_unpacked(packed)):
        body += part
        if len(body) > limit:
            raise _too_large(limit)
    return body


def _unpacked(packed: Text) -> Iterator[bytes]:
    """Yield the parts of a decompressed body.

    Raises:
        Malformed: it has another encoding, or is incomplete.
    """
    unpacking = zlib.decompressobj(GZIP_OR_ZLIB)
    try:
        for start in range(0, len(packed), PART):
            rest = bytes(packed[start : start + PART])
            while not unpacking.eof and (part := unpacking.decompress(rest, PART)):
                yield part
                rest = unpacking.unconsumed_tail
    except zlib.error:
        raise Malformed(BROKEN) from None
    if not unpacking.eof or unpacking.unused_data:
        raise Malformed(BROKEN)


def shown_size(size: int) -> str:
    """Format a size in bytes for people."""
    return f"{size // MB} MB" if size >= MB else f"{size // KB} KB"


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body of this request may have at most {shown_size(limit)}.")
