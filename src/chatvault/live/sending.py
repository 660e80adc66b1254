"""Sending frames to a client: as server-sent events, and with bounds on one that does not read."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import aclosing, suppress

from aiohttp import hdrs, web

from chatvault.http.requests import METRICS, begin_stream
from chatvault.http.sse import STREAM_HEADERS
from chatvault.live.frames import Frame, closing_frame
from chatvault.live.mailbox import TOO_SLOW
from chatvault.live.service import LiveStream

# So long a client may take no more bytes; then it gets the reason, and is cut off a little later.
STALL_SECONDS = 30.0
FAREWELL_SECONDS = 5.0
# Of the kernel's, beside the transport's 64 KB.
SEND_BUFFER = 128 * 1024
# A client that vanished without a word is noticed so soon after something was sent to it.
VANISHED_MS = 60_000


def bound(request: web.Request) -> None:
    """Limit how much the kernel keeps for a client, and how long it tries to send it."""
    transport = request.transport
    sock: socket.socket | None = None
    if transport is not None:
        sock = transport.get_extra_info("socket")
    if sock is None:
        return
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT") and sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MS)


def is_gone_of(request: web.Request) -> Callable[[], bool]:
    """Return a function that tells whether the request's client has disconnected."""
    return lambda: request.transport is None or request.transport.is_closing()


def cut_off(request: web.Request) -> None:
    """Close the connection once what was written has been taken, or abort it soon."""
    transport = request.transport
    if transport is not None:
        asyncio.get_running_loop().call_later(FAREWELL_SECONDS, transport.abort)
        transport.close()


async def send_events(request: web.Request, stream: LiveStream) -> web.StreamResponse:
    """Send a stream as server-sent events, until it ends or the client does."""
    response = await begin_stream(request, STREAM_HEADERS)
    if request.method == hdrs.METH_HEAD:
        return response
    bound(request)
    try:
        with request.app[METRICS].connections.stream("sse"):
            async with aclosing(stream.list_frames()) as batches:
                async for frames in batches:
                    async with asyncio.timeout(STALL_SECONDS):
                        await response.write(b"".join(map(to_event, frames)))
        await response.write_eof()
    except TimeoutError:
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(0):
                await response.write(to_event(closing_frame(TOO_SLOW)))
        cut_off(request)
    except ConnectionError:
        pass  # The client is gone, and may come back.
    return response


def to_event(frame: Frame) -> bytes:
    """Return a frame as a server-sent event.

    A heartbeat only moves the id that a browser resumes after; its listeners do not see it.
    """
    head = b"" if frame.id is None else b"id: " + frame.id.encode() + b"\n"
    if frame.type == "heartbeat":
        return head + b"\n"
    if frame.retry_ms is not None:
        head += f"retry: {frame.retry_ms}\n".encode()
    return head + b"data: " + frame.data + b"\n\n"
