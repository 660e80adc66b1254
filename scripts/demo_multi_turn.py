#!/usr/bin/env python3
"""Hold a whole conversation with an agent: follow-ups, a stream, its context, a summary.

With CHATVAULT_PROVIDERS, or with OPENAI_API_KEY, a model answers; without, a scripted twin of one
that speaks the same protocol. The service runs for this alone, on data that are thrown away.
"""

from _environment import enter

enter(__file__)

import asyncio  # noqa: E402  # what comes next can be imported only from here on
import contextlib  # noqa: E402  # the same
import json  # noqa: E402  # the same
import os  # noqa: E402  # the same
import secrets  # noqa: E402  # the same
import sys  # noqa: E402  # the same
import tempfile  # noqa: E402  # the same
from collections.abc import AsyncIterator  # noqa: E402  # the same
from pathlib import Path  # noqa: E402  # the same
from typing import Any  # noqa: E402  # the same

import aiohttp  # noqa: E402  # the same
from aiohttp import web  # noqa: E402  # the same

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.fake_model import FakeModel, ScriptedAnswer  # noqa: E402  # the same

QUESTIONS = (
    "How do I make my slow API faster?",
    "How do I set that up?",
    "And what about failover?",
)
ANSWERS = (
    "Put a cache such as Redis in front of its database.",
    "Run Redis on port 6379, and let the API look there first, with a TTL of a minute.",
    "For the Redis cache we spoke of, run a replica with Sentinel: it takes over in seconds.",
)
SUMMARY = "They spoke about making an API faster with Redis: how to set it up, and its failover."


@contextlib.asynccontextmanager
async def provider() -> AsyncIterator[tuple[str, str, FakeModel | None]]:
    """The setting that names the model, in words which it is, and the twin where it is that."""
    if given := os.environ.get("CHATVAULT_PROVIDERS"):
        yield given, "the model of CHATVAULT_PROVIDERS", None
    elif key := os.environ.get("OPENAI_API_KEY"):
        model = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
        openai = {"api_key": key, "model": model, "base_url": os.environ.get("OPENAI_BASE_URL")}
        yield json.dumps({"openai": openai}), f"{model} by OPENAI_API_KEY", None
    else:
        fake_model = FakeModel()
        fake_model.say(
            *(
                ScriptedAnswer(chunks=[f"{word} " for word in text.split()], pause=0.02)
                for text in ANSWERS
            )
        )
        fake_model.title, fake_model.summary = (
            ScriptedAnswer(chunks=["A faster API"]),
            ScriptedAnswer(chunks=[SUMMARY]),
        )
        runner = web.AppRunner(fake_model.application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        settings = {"twin": {"base_url": f"http://127.0.0.1:{port}/v1", "model": "scripted-twin"}}
        yield json.dumps(settings), "a scripted twin, as there is no key", fake_model
        await runner.cleanup()


@contextlib.asynccontextmanager
async def service(providers: str) -> AsyncIterator[str]:
    """A chatvault of our own; gives its address."""
    with tempfile.TemporaryDirectory() as data:
        settings = {
            "CHATVAULT_DATA_DIR": data,
            "CHATVAULT_PORT": "0",
            "CHATVAULT_LOG_LEVEL": "error",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chatvault", "serve",
            env={**os.environ, **settings, "CHATVAULT_PROVIDERS": providers},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101  # it was asked for
        banner = (await process.stdout.readline()).decode().split()
        try:
            yield next(word for word in banner if word.startswith("http"))
        finally:
            process.terminate()
            await process.wait()


async def call(browser: aiohttp.ClientSession, method: str, path: str, **body: Any) -> Any:
    """The JSON of an answer."""
    async with browser.request(method, path, json=body or None) as answer:
        found = await answer.json(content_type=None)
        if answer.status >= 400:  # noqa: PLR2004  # an error
            sys.exit(f"{method} {path}: {answer.status} {found['detail']}")
        return found


async def ask(browser: aiohttp.ClientSession, path: str, question: str) -> None:
    """Send a message, and print the answer while it comes."""
    print(f"\nyou:   {question}\nagent: ", end="", flush=True)
    headers = {"Accept": "text/event-stream"}
    kind = ""
    async with browser.post(path, json={"content": question}, headers=headers) as answer:
        async for raw in answer.content:
            name, _, value = raw.decode().rstrip().partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind == "delta":
                print(json.loads(value)["text"], end="", flush=True)
            elif name == "data" and kind in {"completed", "error"}:
                ended = json.loads(value)
                used, total = ended["total_tokens_used"], ended["conversation_total_tokens"]
                print(ended.get("detail", ""))
                print(f"       ({used} tokens, {total} in the conversation so far)")


async def talk(browser: aiohttp.ClientSession) -> None:
    """The conversation itself."""
    name = f"demo{secrets.token_hex(3)}"
    account = {"username": name, "password": secrets.token_urlsafe(12)}
    await call(browser, "POST", "/auth/register", **account, email=f"{name}@example.com")
    await call(browser, "POST", "/auth/login", **account)
    agent = await call(
        browser, "POST", "/agents", name="Advisor", system_prompt="You advise developers, briefly."
    )
    conversation = await call(browser, "POST", "/conversations", agent_id=agent["id"])
    path = f"/conversations/{conversation['id']}"
    for question in QUESTIONS:
        await ask(browser, f"{path}/replies", question)
    context = await call(browser, "GET", f"{path}/context")
    seen, tokens = len(context["messages"]), context["tokens"]
    print(f"\nThe model would see {seen} messages now, {tokens} tokens:")
    for message in context["messages"]:
        print(f"  {message['role']:9} {message['content'][:70]}")
    summary = await call(browser, "POST", f"{path}/summary")
    print(f"\nsummary: {summary['summary']}")
    stored = await call(browser, "GET", path)
    stats = await call(browser, "GET", "/conversations/stats")
    print(f"title:   {stored['title']}")
    print(f"stats:   {stats['total_messages']} messages, {stats['total_tokens_used']} tokens")


async def main() -> None:
    """Start what is needed, talk, and stop it."""
    async with provider() as (providers, which, fake_model), service(providers) as address:
        print(f"Answers come from {which}.")
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(address, cookie_jar=jar) as browser:
            await talk(browser)
        if fake_model is not None:
            seen = len(fake_model.requests[2]["messages"])
            print(f"\nThe third request that reached the twin had {seen} messages.")


asyncio.run(main())
