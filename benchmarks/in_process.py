"""Services in this process, and the processor time that appends take with their client."""

import asyncio
import gc
import time
from typing import Any

from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer

from chatvault.app import create_app
from chatvault.settings import Settings

CONNECTIONS = 32
APPENDS = 10


async def start(settings: Settings, url: str, name: str) -> tuple[Any, list[str]]:
    """Return a client of a service of its own, and conversations."""
    server = TestServer(create_app(settings, mongodb_url=url))
    client: Any = TestClient(server, cookie_jar=CookieJar(unsafe=True))
    await client.start_server()
    account = {"username": name, "password": "correct-horse"}
    await client.post("/auth/register", json={**account, "email": f"{name}@example.org"})
    await client.post("/auth/login", json=account)
    made = [await client.post("/conversations", json={}) for _ in range(CONNECTIONS)]
    return client, [(await each.json())["id"] for each in made]


async def append_many(client: Any, ids: list[str], appends: int = APPENDS) -> float:
    """Return the seconds of processor time of one append, of many."""

    async def append(conversation_id: str) -> None:
        for _ in range(appends):
            path = f"/conversations/{conversation_id}/messages"
            body = {"role": "user", "content": "x" * 500}
            headers = {"Prefer": "return=minimal"}
            async with client.post(path, json=body, headers=headers) as answer:
                await answer.read()
                if not answer.ok:
                    raise RuntimeError(f"an append got {answer.status}")

    gc.collect()
    began = time.process_time()
    await asyncio.gather(*map(append, ids))
    return (time.process_time() - began) / (CONNECTIONS * appends)
