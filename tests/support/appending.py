"""Clients that append until they are acknowledged, and a check of the result."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp

from support.running import WAIT, Service, ask

MINIMAL = {"Prefer": "return=minimal"}


class Appender:
    """Sends messages one by one, each repeatedly until it is acknowledged."""

    def __init__(self, service: Service, browser: aiohttp.ClientSession, home: str) -> None:
        self.service = service
        self.browser = browser
        self.home = home
        self.acknowledged: list[str] = []
        self.seen: Counter[str] = Counter()

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            message_id = str(uuid.uuid4())
            body = {"role": "user", "content": message_id, "id": message_id}
            while not await self._send(body):  # noqa: ASYNC110  # each time is another try
                await asyncio.sleep(0.05)
            self.acknowledged.append(message_id)

    async def _send(self, body: dict[str, Any]) -> bool:
        url = f"{self.service.url}/conversations/{self.home}/messages"
        try:
            answer, told = await ask(self.browser, "POST", url, body, headers=MINIMAL)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.seen[type(error).__name__] += 1
            return False
        self.seen[str(answer.status)] += 1
        if answer.status == 200:
            assert told["message"]["id"] == body["id"]
            return True
        assert answer.status == 503, told
        assert told["code"] in {"unavailable", "outcome_unknown", "stored_not_shown", "busy"}
        assert int(answer.headers["Retry-After"]) >= 1
        return False


async def until_acknowledged(appenders: Sequence[Appender], more: int) -> int:
    """Wait until this many more messages are acknowledged; return how many are."""
    wanted = _count(appenders) + more
    async with asyncio.timeout(WAIT):
        while _count(appenders) < wanted:  # noqa: ASYNC110  # they tell nobody
            await asyncio.sleep(0.02)
    return _count(appenders)


def _count(appenders: Sequence[Appender]) -> int:
    return sum(len(each.acknowledged) for each in appenders)


async def everything(
    service: Service, browser: aiohttp.ClientSession, home: str
) -> list[dict[str, Any]]:
    """Return all messages, page by page."""
    path = f"{service.url}/conversations/{home}/messages"
    stored: list[dict[str, Any]] = []
    while True:
        answer, page = await ask(browser, "GET", f"{path}?limit=200&offset={len(stored)}")
        assert answer.status == 200, page
        stored += page["messages"]
        if not page["pagination"]["hasMore"]:
            return stored
