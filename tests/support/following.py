"""Reading live events, as server-sent events and by WebSocket."""

import asyncio
import json
from typing import Any

import aiohttp
from bson.timestamp import Timestamp

from chatvault.accounts.models import User
from chatvault.live.events import first_id

SECONDS = 30.0


class Follower:
    """A client of `GET /events`, which keeps the frames.

    One that connects without an id may be told what happened just before. It passes over that,
    unless the service is another process.

    Args:
        browser: signed in.
        url: of the service; empty for a test's own client.
    """

    def __init__(self, browser: Any, url: str = "") -> None:
        self._browser = browser
        self._url = url
        self.answer: aiohttp.ClientResponse | None = None
        self.last_id: str | None = None
        self.frames: list[dict[str, Any]] = []
        self._began_at = ""

    async def open(self, **query: str) -> "Follower":
        """Connect, from the last id on if there is one; wait for the first frame."""
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        if not (headers or "after" in query or self._url):
            self._began_at = await _latest_id()
        self.answer = await self._browser.get(
            f"{self._url}/events",
            params=query,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
        )
        assert self.answer.status == 200, await self.answer.text()
        await self.next()
        return self

    async def next(self) -> dict[str, Any]:
        """Return the next frame."""
        frame = await asyncio.wait_for(self._read(), SECONDS)
        assert frame is not None, self.frames[-3:]
        return frame

    async def _read(self) -> dict[str, Any] | None:
        assert self.answer is not None
        frame: dict[str, Any] | None = None
        while line := (await self.answer.content.readline(max_line_length=2**24)).decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "data":
                frame = json.loads(value)
            elif not name and frame is not None:
                if self._is_new(frame):
                    self.frames.append(frame)
                    return frame
                frame = None
        return None

    def _is_new(self, frame: dict[str, Any]) -> bool:
        is_event = "id" in frame and frame["type"] not in {"ready", "reset", "heartbeat"}
        return not is_event or str(frame["id"]) >= self._began_at

    async def until(self, kind: str) -> dict[str, Any]:
        """Return the next frame of a type, passing over others."""
        while (frame := await self.next())["type"] != kind:
            pass
        return frame

    async def end(self) -> list[dict[str, Any]]:
        """Return the frames to the stream's end."""
        found = []
        while (frame := await asyncio.wait_for(self._read(), SECONDS)) is not None:
            found.append(frame)
        return found

    def close(self) -> None:
        """Disconnect."""
        assert self.answer is not None
        self.answer.close()


async def _latest_id() -> str:
    """Return an id above those of all events until now, and below those of later ones."""
    ping = await User.get_pymongo_collection().database.command("ping")
    latest: Timestamp = ping["operationTime"]
    return first_id(Timestamp(latest.time, latest.inc + 1))


async def hear(socket: Any) -> dict[str, Any]:
    """Return the next frame of a socket."""
    frame: dict[str, Any] = await asyncio.wait_for(socket.receive_json(), SECONDS)
    return frame


async def hear_until(socket: Any, kind: str) -> dict[str, Any]:
    """Return the next frame of a type, passing over others."""
    while (frame := await hear(socket))["type"] != kind:
        pass
    return frame
