"""The WebSocket of live events: the same frames, and what the client says meanwhile."""

import asyncio
import time
from contextlib import aclosing

from aiohttp import WSMsgType, web
from pydantic import ValidationError

from chatvault.errors import InvalidInput, UpgradeRequired
from chatvault.http.requests import BEGUN, METRICS
from chatvault.live import sending
from chatvault.live.mailbox import TOO_SLOW, Closing
from chatvault.live.schemas import ClientMessage
from chatvault.live.service import HEARTBEAT_SECONDS, LiveStream
from chatvault.tasks import stop

SIMPLE = "chatvault.simple"
MAX_MESSAGE = 16 * 1024
# The most messages a client may send in MESSAGES_SECONDS.
MOST_MESSAGES = 100
MESSAGES_SECONDS = 10.0
# What may be in the transport's buffer before a sender waits.
WRITER_LIMIT = 16 * 1024
GONE = Closing(1000, "gone")
TOO_MANY_MESSAGES = Closing(1008, "too_many_messages", retry_ms=10_000)


def new_socket(request: web.Request) -> web.WebSocketResponse:
    """Return a socket for the request, not yet opened.

    Raises:
        UpgradeRequired: it does not ask for a WebSocket.
    """
    # Deflate would take 100 KB a connection.
    opened = web.WebSocketResponse(
        heartbeat=HEARTBEAT_SECONDS,
        compress=False,
        max_msg_size=MAX_MESSAGE,
        protocols=(SIMPLE,),
        timeout=sending.FAREWELL_SECONDS,
        writer_limit=WRITER_LIMIT,
    )
    if not opened.can_prepare(request).ok:
        raise UpgradeRequired
    return opened


def is_simple(request: web.Request) -> bool:
    """Whether the client asks for the simple dialect by a subprotocol."""
    offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", ()))
    return SIMPLE in (each.strip() for each in offered.split(","))


async def converse(
    request: web.Request, opened: web.WebSocketResponse, stream: LiveStream
) -> web.StreamResponse:
    """Send the frames of a stream, and do what the client asks for, until either ends."""
    request[BEGUN] = opened
    await opened.prepare(request)
    sending.bound(request)
    reading = asyncio.create_task(_read(opened, stream))
    try:
        with request.app[METRICS].connections.stream("websocket"):
            closing = await _send(opened, stream)
        async with asyncio.timeout(2 * sending.FAREWELL_SECONDS):
            await opened.close(code=closing.code, message=closing.reason.encode())
    except TimeoutError:
        sending.cut_off(request)
    except ConnectionError:
        pass  # The client is gone, and may come back.
    finally:
        await stop(reading)
    return opened


async def _send(opened: web.WebSocketResponse, stream: LiveStream) -> Closing:
    """Send frames to the end; return why it came."""
    try:
        async with aclosing(stream.list_frames()) as batches:
            async for frames in batches:
                for frame in frames:
                    async with asyncio.timeout(sending.STALL_SECONDS):
                        await opened.send_frame(frame.data, WSMsgType.TEXT)
    except TimeoutError:
        return TOO_SLOW
    return stream.mailbox.closing or GONE


async def _read(opened: web.WebSocketResponse, stream: LiveStream) -> None:
    """Do what the client asks for, until it disconnects or asks for too much."""
    try:
        recent, since = 0, time.monotonic()
        async for message in opened:
            if time.monotonic() - since > MESSAGES_SECONDS:
                recent, since = 0, time.monotonic()
            recent += 1
            if recent > MOST_MESSAGES:
                stream.mailbox.close(TOO_MANY_MESSAGES)
                return
            if message.type is WSMsgType.TEXT:
                await _handle(stream, message.data)
    finally:
        stream.mailbox.close(GONE)


async def _handle(stream: LiveStream, text: str) -> None:
    try:
        await stream.handle(ClientMessage.model_validate_json(text))
    except ValidationError:
        stream.mailbox.answer({"type": "error", "code": InvalidInput.code})
