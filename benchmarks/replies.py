"""What a streamed reply costs: processor time of the service, beside a bare loop of the openai SDK.

`python benchmarks/replies.py [rounds]`. A model's twin answers each request with 20 pieces. In each
round the service answers replies in conversations that began with 10 and with 200 messages, and a
process of its own reads the same stream with the openai SDK; the processor time of each is divided
by the number of replies. The service's memory of what it serves is warm.
"""

import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import psutil  # type: ignore[import-untyped]  # noqa: E402  # the path has to be set first
import uvloop  # noqa: E402  # the same
from yarl import URL  # noqa: E402  # the same

import streams  # noqa: E402  # the same
from processes import cpu_seconds  # noqa: E402  # the same
from support.running import Service, ask, mongod_of  # noqa: E402  # the same

PIECES, REPLIES, TOGETHER = 20, 40, 4
LENGTHS = (10, 200)
GOAL_MS = 3.0


def twin(pipe: Connection) -> None:
    """Answer as a model, without pauses, in a process of its own."""
    streams.TOKENS, streams.PAUSE, streams.FIRST_PAUSE = PIECES, 0.0, 0.0

    async def answer() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(streams.FakeModel, "127.0.0.1", 0)
        pipe.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        await server.serve_forever()

    uvloop.run(answer())


def bare(pipe: Connection, url: str) -> None:
    """Read as many streams as the pipe asks for; send the milliseconds of processor time of one."""
    from openai import AsyncOpenAI  # noqa: PLC0415  # not in the other processes

    async def read(client: AsyncOpenAI, messages: Any) -> None:
        answer = await client.chat.completions.create(
            model="m", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        text = ""
        async for chunk in answer:
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""

    async def serve() -> None:
        async with AsyncOpenAI(base_url=url, api_key="none") as client:
            while count := pipe.recv():
                began = time.process_time()
                for _ in range(count // TOGETHER):
                    messages = [{"role": "user", "content": "Hello"}] * LENGTHS[0]
                    await asyncio.gather(*(read(client, messages) for _ in range(TOGETHER)))
                pipe.send((time.process_time() - began) / count * 1000)

    uvloop.run(serve())


async def prepare(service: Service, length: int) -> list[bytes]:
    """Return a request for a reply in each of some conversations of this many messages."""
    async with service.browser() as browser:
        if length == LENGTHS[0]:
            await service.sign_in(browser)
        else:
            await service.sign_in(browser, "bob")
        agent = {
            "name": "A",
            "system_prompt": "",
            "max_conversation_tokens": 10_000_000,
            "auto_generate_summary": False,
        }
        _, made = await ask(browser, "POST", f"{service.url}/agents", agent)
        roles = ("user", "assistant")
        messages = [{"role": roles[n % 2], "content": "Some words. " * 20} for n in range(length)]
        wanted = {"title": "T", "agent_id": made["id"], "messages": messages}
        requests = []
        for _ in range(TOGETHER):
            _, begun = await ask(browser, "POST", f"{service.url}/conversations", wanted)
            url = URL(f"{service.url}/conversations/{begun['id']}/replies")
            requests.append(streams.request_for(url, service.cookie(browser)))
        return requests


async def reply(service: Service, requests: list[bytes], replies: int) -> tuple[float, float]:
    """Return milliseconds of processor time a reply, of the service and of MongoDB."""
    loop, url = asyncio.get_running_loop(), URL(service.url)
    crowds = []
    for _ in requests:
        _, crowd = await loop.create_connection(streams.Crowd, url.host or "", url.port or 0)
        crowds.append(crowd)
    measured = psutil.Process(service.process.pid), mongod_of(service.data_dir)
    before = [*map(cpu_seconds, measured)]

    async def talk(crowd: streams.Crowd, request: bytes) -> None:
        for _ in range(replies // len(requests)):
            await crowd.reply(request)

    await asyncio.gather(*map(talk, crowds, requests))
    each = [
        (after - began) / replies * 1000
        for began, after in zip(before, map(cpu_seconds, measured), strict=True)
    ]
    return each[0], each[1]


async def measure(rounds: int, model: str, bare_loop: Connection) -> None:
    """Print the medians of the rounds."""
    streams.TOKENS = PIECES
    providers = json.dumps({"twin": {"base_url": model, "model": "m"}})
    settings: dict[str, Any] = {"replies_per_minute": 100_000, "log_level": "error", "ui": "off"}
    alone: list[float] = []
    took: dict[int, list[tuple[float, float]]] = {length: [] for length in LENGTHS}
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "data", providers=providers, **settings) as service,
    ):
        requests = {length: await prepare(service, length) for length in LENGTHS}
        for round_no in range(rounds + 1):
            bare_loop.send(REPLIES)
            found = await asyncio.to_thread(bare_loop.recv)
            costs = {each: await reply(service, requests[each], REPLIES) for each in LENGTHS}
            if round_no:  # before, modules are loaded and caches fill
                alone.append(found)
                for length, cost in costs.items():
                    took[length].append(cost)
    floor = statistics.median(alone)
    print(f"a bare loop of the openai SDK: {floor:.1f} ms; {rounds} rounds of {REPLIES} replies")
    for length, found_ in took.items():
        ours = statistics.median(each[0] for each in found_)
        theirs = statistics.median(each[1] for each in found_)
        print(
            f"from {length} messages on: {ours:.1f} ms, {ours - floor:+.1f} ms (goal "
            f"{GOAL_MS:+.0f}), and {theirs:.1f} ms of MongoDB"
        )


def main() -> None:
    """Start the processes, and measure."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 6
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    model = context.Process(target=twin, args=(theirs,), daemon=True)
    model.start()
    url = ours.recv()
    mine, loop_pipe = context.Pipe()
    loop = context.Process(target=bare, args=(loop_pipe, url), daemon=True)
    loop.start()
    try:
        uvloop.run(measure(rounds, url, mine))
    finally:
        mine.send(0)
        loop.join(10)
        model.terminate()


if __name__ == "__main__":
    main()
