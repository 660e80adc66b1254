"""Streams of MCP messages over HTTP: the SDK's, with limits on bodies.

The SDK limits the events of a stream, and reads any other body whole, however large.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from mcp.client import streamable_http

from chatvault.commands.bounds import MAX_EVENT, MAX_MESSAGE, InvalidAnswer, check_message
from chatvault.external import McpServer


@contextlib.asynccontextmanager
async def over_http(settings: McpServer, read_timeout: float) -> AsyncIterator[Any]:
    """Open the streams to a server, and close them with the context.

    Args:
        settings: the server's settings.
        read_timeout: seconds between two bytes.
    """
    headers = {key: value.get_secret_value() for key, value in settings.headers.items()}
    client = httpx2.AsyncClient(
        # Decompressed, a small body may be of any size.
        headers={"Accept-Encoding": "identity", **headers},
        timeout=httpx2.Timeout(30.0, read=read_timeout),
        event_hooks={"response": [_bound]},
    )
    async with (
        client,
        streamable_http.streamable_http_client(
            settings.url or "", http_client=client, max_sse_event_size=MAX_EVENT
        ) as streams,
    ):
        yield streams


async def _bound(response: httpx2.Response) -> None:
    """Limit the body of a response before it is read."""
    is_packed = response.headers.get("content-encoding", "identity") != "identity"
    # The SDK limits each event of an event stream, which has no end.
    is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    if is_packed or not is_stream:
        response.stream = _Body(response.stream, is_packed=is_packed)


class _Body(httpx2.AsyncByteStream):
    """A body that is read whole, checked, and then passed on."""

    def __init__(self, body: Any, *, is_packed: bool) -> None:
        self._body = body
        self._is_packed = is_packed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body at once.

        Raises:
            StreamError: it is larger than a message may be, or compressed; the SDK then reports an
                error of the server.
        """
        if self._is_packed:
            raise httpx2.StreamError("sent a compressed body")
        read = bytearray()
        async for chunk in self._body:
            read += chunk
            if len(read) > MAX_MESSAGE:
                break
        try:
            check_message(bytes(read))
        except InvalidAnswer as error:
            raise httpx2.StreamError(str(error)) from None
        yield bytes(read)

    async def aclose(self) -> None:
        """Close the response, whether it was read or not."""
        await self._body.aclose()
