"""Server-sent events: the head of a stream, its events, and pings between them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import hdrs, web

from chatvault.encoding import to_json
from chatvault.http.problems import broken_off
from chatvault.http.requests import METRICS, begin_stream
from chatvault.tasks import stop

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"}
HEARTBEAT = 15.0  # seconds; proxies close a stream that is silent for longer


# Its number, from which a client can resume; its name; its data, which is sent as JSON.
Event = tuple[int, str, dict[str, Any]]


def wants_stream(request: web.Request) -> bool:
    """Whether the client accepts an event stream."""
    return EVENT_STREAM in request.headers.get("Accept", "")


async def send_events(
    request: web.Request, events: AsyncGenerator[Event, None]
) -> web.StreamResponse:
    """Send events, with pings while there are none; the stream ends with the reply."""
    async with contextlib.aclosing(events):
        response = await begin_stream(request, STREAM_HEADERS)
        if request.method == hdrs.METH_HEAD:
            return response
        following = asyncio.create_task(_send(response, events))
        try:
            with request.app[METRICS].connections.stream("sse"):
                while not (await asyncio.wait({following}, timeout=HEARTBEAT))[0]:
                    await response.write(b": still here\n\n")
                await following
        except ConnectionError:
            # The client is gone; the reply continues, and can be followed again.
            pass
        except Exception as error:  # noqa: BLE001  # handed to the client, whose answer has begun
            broken = broken_off(error)
            shown = {"code": broken.code, "detail": broken.detail}
            await response.write(b"event: error\ndata: " + to_json(shown) + b"\n\n")
        finally:
            await stop(following)
    return response


async def _send(response: web.StreamResponse, events: AsyncGenerator[Event, None]) -> None:
    async for number, name, data in events:
        head = f"id: {number}\nevent: {name}\ndata: ".encode()
        await response.write(head + to_json(data) + b"\n\n")
