"""How long one user's appends take beside another who sends 4 MB batches on 16 connections.

Run by `python benchmarks/fairness.py`. The service and its MongoDB are processes of their own; this
one sends the requests of both users. It prints the 50th and 99th percentile of the small appends,
alone and beside the other, and how busy other programs kept the machine.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from neighbours import look

CONNECTIONS = 16
MESSAGES, SIZE = 16, 245_000
SECONDS = 20.0
PAUSE = 0.05
GOAL_MS = 250.0


async def main() -> None:
    """Measure, and print."""
    print(f"before: others keep {look(2.0).others:.2f} cores busy; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        process, url = await _serve(Path(folder))
        try:
            async with _user(url, "small") as small, _user(url, "large") as large:
                alone = await _measure(small, url)
                stopping = asyncio.Event()
                sending = [
                    asyncio.create_task(_flood(large, url, stopping)) for _ in range(CONNECTIONS)
                ]
                await asyncio.sleep(2.0)
                beside = await _measure(small, url)
                stopping.set()
                sent = sum(await asyncio.gather(*sending))
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()
    _print("alone", alone)
    _print("beside", beside)
    size = MESSAGES * SIZE / 1e6
    print(f"{sent} batches of {size:.1f} MB were stored; load {os.getloadavg()[0]:.1f}")


async def _serve(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    environment = {
        **os.environ,
        "CHATVAULT_DATA_DIR": str(folder),
        "CHATVAULT_PORT": "0",
        "CHATVAULT_BCRYPT_ROUNDS": "4",
        "CHATVAULT_LOG_LEVEL": "warning",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatvault", "serve"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdout is None:
        raise RuntimeError("the service has no output")
    while line := (await process.stdout.readline()).decode():
        if found := re.search(r"answers at (\S+)", line):
            return process, found[1]
    raise RuntimeError("the service did not start")


def _user(url: str, name: str) -> Any:
    return _Session(url, name)


class _Session:
    """A signed-in user's connections."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self._http = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS + 1),
        )

    async def __aenter__(self) -> aiohttp.ClientSession:
        account = {"username": self._name, "password": "correct-horse"}
        body = {**account, "email": f"{self._name}@example.org"}
        for path, fields in (("register", body), ("login", account)):
            async with self._http.post(f"{self._url}/auth/{path}", json=fields) as answer:
                answer.raise_for_status()
        return self._http

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()


async def _begin(http: aiohttp.ClientSession, url: str) -> str:
    async with http.post(f"{url}/conversations", json={}) as answer:
        return f"{url}/conversations/{(await answer.json())['id']}/messages"


async def _measure(http: aiohttp.ClientSession, url: str) -> list[float]:
    """Return the milliseconds of each of many small appends, one after the other."""
    path, took = await _begin(http, url), []
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        began = time.perf_counter()
        body = {"role": "user", "content": "x" * 500}
        headers = {"Prefer": "return=minimal"}
        async with http.post(path, json=body, headers=headers) as answer:
            answer.raise_for_status()
            await answer.read()
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PAUSE)
    return took


async def _flood(http: aiohttp.ClientSession, url: str, stopping: asyncio.Event) -> int:
    """Append batches until told to stop; return how many were stored."""
    path, sent = await _begin(http, url), 0
    messages = [{"role": "user", "content": secrets.token_hex(SIZE // 2)} for _ in range(MESSAGES)]
    body = json.dumps({"messages": messages}).encode()
    while not stopping.is_set():
        headers = {"Prefer": "return=minimal", "Content-Type": "application/json"}
        async with http.post(f"{path}:batch", data=body, headers=headers) as answer:
            await answer.read()
            sent += answer.ok
            if answer.status == 503:
                await asyncio.sleep(0.1)
    return sent


def _print(name: str, took: list[float]) -> None:
    cuts = statistics.quantiles(took, n=100)
    verdict = "" if name == "alone" else f", goal {GOAL_MS:.0f} ms"
    print(f"{name}: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms of {len(took)} appends{verdict}")


if __name__ == "__main__":
    asyncio.run(main())
