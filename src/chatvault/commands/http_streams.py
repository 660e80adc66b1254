"""Streams of MCP messages over HTTP: the SDK's, with bounds on what a body may hold.

The SDK bounds the events of a stream, and reads any other body whole, however large.
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
        settings: of the server.
        read_timeout: seconds between two bytes.
    """
    headers = {key: value.get_secret_value() for key, value in settings.headers.items()}
    client = httpx2.AsyncClient(
        # Unpacked, a small body may be of any size.
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
    """Bound the body of a response, before anybody reads it."""
    is_packed = response.headers.get("content-encoding", "identity") != "identity"
    # Of an event stream the SDK bounds each event; it has no end.
    is_stream = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    if is_packed or not is_stream:
        response.stream = _Body(response.stream, is_packed=is_packed)


class _Body(httpx2.AsyncByteStream):
    """A body that is read whole, looked at, and then handed on."""

    def __init__(self, body: Any, *, is_packed: bool) -> None:
        self._body = body
        self._is_packed = is_packed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body at once.

        Raises:
            StreamError: it is larger than a message may be, or compressed; the SDK answers for the
                server then.
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
        """End the answer, whether it was read or not."""
        await self._body.aclose()
