"""Requesting replies, and reading their streams."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse

from support.answers import found

EVENT_STREAM = {"Accept": "text/event-stream"}


@dataclass(frozen=True)
class Received:
    """One server-sent event."""

    id: int
    type: str
    data: dict[str, Any]


def path_of(conversation: dict[str, Any], *rest: str) -> str:
    return "/".join(["/conversations", conversation["id"], "replies", *rest])


async def ask(
    http: Any, conversation: dict[str, Any], content: str | None = "Hello", **more: Any
) -> dict[str, Any]:
    """Send a message, and return the whole exchange."""
    body = {"content": content, **more} if content is not None else more
    answer: ClientResponse = await http.post(path_of(conversation), json=body)
    assert answer.status == 201, await answer.text()
    exchange: dict[str, Any] = await answer.json()
    return exchange


async def begin_stream(
    http: Any, conversation: dict[str, Any], content: str = "Hello", **more: Any
) -> ClientResponse:
    """Start a reply that streams."""
    answer: ClientResponse = await http.post(
        path_of(conversation), json={"content": content, **more}, headers=EVENT_STREAM
    )
    assert answer.status == 200, await answer.text()
    assert answer.content_type == "text/event-stream"
    return answer


async def next_event(answer: ClientResponse) -> Received | None:
    """Return the next event, or None at the end of the stream."""
    fields: dict[str, str] = {}
    while line := (await answer.content.readline(max_line_length=2**24)).decode():
        if line == "\n":
            if "data" in fields:
                return Received(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            continue
        name, _, value = line.rstrip("\n").partition(": ")
        fields[name] = value
    return None


async def events_of(answer: ClientResponse) -> list[Received]:
    """Return all events to the end."""
    events = []
    while (event := await next_event(answer)) is not None:
        events.append(event)
    return events


def text_of(events: list[Received]) -> str:
    return "".join(event.data["text"] for event in events if event.type == "delta")


def said(conversation: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the messages of a conversation as role and content."""
    return [(message["role"], message["content"]) for message in conversation["messages"]]


async def until(check: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for something in this process."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.01)


async def settled(http: Any, conversation: dict[str, Any]) -> dict[str, Any]:
    """Return the conversation once no reply is being written in it."""
    for _ in range(1000):
        shown = await found(http, conversation["id"])
        if shown["active_reply_id"] is None:
            return shown
        await asyncio.sleep(0.01)
    raise AssertionError("the reply does not end")
