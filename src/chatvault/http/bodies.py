"""Reading requests' bodies: how large each may be, how slowly it may come, how many at a time."""

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
# What a body may have unless its route says otherwise. So much is parsed by one call.
SMALL_BODY = 16 * KB
# What the largest valid value needs, as JSON escapes and indents: some times its size.
LINE_BODY = 128 * KB
FREE_BODY = 2 * MB
MESSAGE_BODY = 8 * MB
PICTURES_BODY = 20 * MB
BULK_BODY = 32 * MB
# A body has come after so long, or comes at least at this pace from then on.
GRACE_SECONDS = 30.0
BYTES_A_SECOND = 10 * KB
# A large body that finds no room in so long is refused.
ROOM_SECONDS = 15.0
GZIP_OR_ZLIB = 47  # zlib's word for whichever of both it is
PART = 64 * KB
BROKEN = "The body cannot be unpacked, or ends too early."
BODY: web.RequestKey[Text] = web.RequestKey("body", bytes)


class Budget:
    """So many bytes at a time, and so many of them one client's; whoever wants more waits.

    Args:
        total: of all clients.
        share: of one.
    """

    def __init__(self, total: int, share: int) -> None:
        self._total = total
        self._share = share
        self._held: Counter[Hashable] = Counter()
        self._freed = asyncio.Event()

    async def take(self, who: Hashable, size: int) -> None:
        """Wait until there is room.

        Raises:
            Busy: there was none for 15 seconds.
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
        # What is larger than a share has it alone.
        mine = self._held[who]
        if mine and mine + size > self._share:
            return False
        others = self._held.total() - mine
        return not others or others + mine + size <= self._total

    def give_back(self, who: Hashable, size: int) -> None:
        """Let others have the room."""
        self._held[who] -= size
        if not self._held[who]:
            del self._held[who]
        freed, self._freed = self._freed, asyncio.Event()
        freed.set()


class Bodies:
    """What the large bodies of a process share: its memory, and its time."""

    def __init__(self) -> None:
        self._queue = SliceQueue()
        self._texts = Budget(4 * BULK_BODY, BULK_BODY)
        self._values = Budget(2 * BULK_WEIGHT * WEIGHT_BYTES, BULK_WEIGHT * WEIGHT_BYTES)

    @contextlib.asynccontextmanager
    async def room(self, who: Hashable, size: int) -> AsyncIterator["Room"]:
        """Room for a text of so many bytes, and for what becomes of it.

        Raises:
            Busy: there is none.
        """
        await self._texts.take(who, size)
        room = Room(self._queue, self._values, who)
        try:
            yield room
        finally:
            room.close()
            self._texts.give_back(who, size)


class Room:
    """The room that one request has.

    Attributes:
        queue: for the work on its body.
    """

    def __init__(self, queue: SliceQueue, values: Budget, who: Hashable) -> None:
        self.queue = queue
        self._values = values
        self._who = who
        self._size = 0

    async def admit(self, text: Text, *, max_weight: int) -> None:
        """Let a text be parsed: once, as its values stay until the request is answered.

        Raises:
            TooLarge: it has more structure than is allowed.
            Busy: there is no room for its values.
        """
        size = await weigh(text, limit=max_weight) * WEIGHT_BYTES
        await self._values.take(self._who, size)
        self._size = size

    def close(self) -> None:
        """Give the room back."""
        if self._size:
            self._values.give_back(self._who, self._size)


def size_to_expect(request: web.Request, limit: int) -> int:
    """Return how many bytes a body will have at most.

    Raises:
        TooLarge: it says itself that it has more than the limit.
    """
    if not request.body_exists:
        return 0
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    return limit if length is None or hdrs.CONTENT_ENCODING in request.headers else length


async def read_body(request: web.Request, limit: int) -> Text:
    """Return the whole body, unpacked; it stays with the request under `BODY`.

    Raises:
        TooLarge: it has more bytes than the limit.
        TooSlow: it did not come at the least pace.
        Malformed: it cannot be unpacked, or did not arrive whole.
    """
    try:
        body = await _read(request.content, limit)
    except (web.RequestPayloadError, ConnectionError):
        raise Malformed(BROKEN) from None
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
    # aiohttp's own server unpacks before it asks; ours leaves that to us.
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


async def _next_chunk(content: StreamReader, due: float) -> bytes:
    if content.is_eof():  # it is all there, as a small body mostly is
        return await content.readany()
    try:
        async with asyncio.timeout_at(due):
            return await content.readany()
    except TimeoutError:
        raise TooSlow from None


async def _unpack(packed: Text, encoding: str, limit: int) -> Text:
    """Return the body as it was before a client packed it: up to a thousand times larger."""
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise UnsupportedMediaType("The body's Content-Encoding must be gzip or deflate")
    body = bytearray()
    async for part in sliced(_unpacked(packed)):
        body += part
        if len(body) > limit:
            raise _too_large(limit)
    return body


def _unpacked(packed: Text) -> Iterator[bytes]:
    """Yield the parts of a packed body.

    Raises:
        Malformed: it is packed otherwise, or not whole.
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
    """So many bytes, for people."""
    return f"{size // MB} MB" if size >= MB else f"{size // KB} KB"


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body of this request may have at most {shown_size(limit)}.")
