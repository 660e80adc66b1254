"""Searching as a browser does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chatvault.search import searcher, updating

Raw = dict[str, Any]


async def search(http: Any, q: str, **params: Any) -> Raw:
    """Return the answer to a search."""
    answer = await http.get("/search", params={"q": q, **params})
    assert answer.status == 200, await answer.text()
    body: Raw = await answer.json()
    return body


def places(body: Raw) -> set[tuple[str, int]]:
    """Return the conversation and the place of each hit."""
    return {
        (result["conversation"]["id"], hit["seq"])
        for result in body["results"]
        for hit in result["hits"]
    }


async def everything(http: Any, q: str, **params: Any) -> set[tuple[str, int]]:
    """Return the places on all pages."""
    found: set[tuple[str, int]] = set()
    while True:
        body = await search(http, q, **params)
        found |= places(body)
        if body["next_cursor"] is None:
            return found
        params["cursor"] = body["next_cursor"]


async def until(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until the answer is true; the test's time limit ends it otherwise."""
    while not (answer := await ask()):  # noqa: ASYNC110  # the service sets no event of a test's
        await asyncio.sleep(0.01)
    return answer


async def indexed(http: Any, q: str, **params: Any) -> Raw:
    """Return the answer once all messages are searched."""

    async def ask() -> Raw | None:
        body = await search(http, q, **params)
        return body if body["indexed"] == 1 else None

    body: Raw = await until(ask)
    return body


def index_all(patch: pytest.MonkeyPatch) -> None:
    """Let every message be indexed, and none be looked through."""
    patch.setattr(searcher, "MOST_WAITING", 0)
    patch.setattr(updating, "STEP", 7)
