"""How much the service adds to a reply while a hundred stream at once, in one process.

`python benchmarks/streams.py [conversations] [rounds]`. Every reply is 40 words, 50 ms apart, by a
twin of a model that writes into its words when they were asked for and when they were sent. The
conversations begin spread over two seconds, then each asks again as soon as it is answered.
Added is: from the client's request to the twin's, and from the twin's last word to the client's
last event. Clients and twin share one process beside the service's and MongoDB's.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import aiohttp  # noqa: E402  # the path has to be set first
import psutil  # type: ignore[import-untyped]  # noqa: E402  # the same; it carries no annotations
from aiohttp import web  # noqa: E402  # the same

from running import Service, ask  # noqa: E402  # the same

WORDS, PAUSE = 40, 0.05


async def complete(request: web.Request) -> web.StreamResponse:
    """The twin: words with the times in them."""
    arrived = time.monotonic()
    await request.read()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(WORDS):
        await asyncio.sleep(PAUSE)
        text = f"{arrived if number == 0 else time.monotonic()} "
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        await _send(response, {"choices": [choice]})
    await _send(response, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 9, "completion_tokens": WORDS, "total_tokens": 9 + WORDS}
    await _send(response, {"choices": [], "usage": usage})
    await response.write(b"data: [DONE]\n\n")
    return response


async def _send(response: web.StreamResponse, more: dict[str, object]) -> None:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **more}
    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())


async def reply(browser: aiohttp.ClientSession, address: str) -> tuple[float, float]:
    """What the service added to one reply, before and after the model; in seconds."""
    began = time.monotonic()
    text = kind = ""
    async with browser.post(
        address, json={"content": "Hello"}, headers={"Accept": "text/event-stream"}
    ) as answer:
        assert answer.status == 200, await answer.text()
        async for raw in answer.content:
            name, _, value = raw.decode().rstrip().partition(": ")
            if name == "event":
                kind = value
            elif name == "data" and kind == "delta":
                text += json.loads(value)["text"]
    ended = time.monotonic()
    assert kind == "completed", kind
    times = [float(word) for word in text.split()]
    assert len(times) == WORDS
    return times[0] - began, ended - times[-1]


async def talk(
    browser: aiohttp.ClientSession, address: str, after: float, rounds: int
) -> list[tuple[float, float]]:
    """What was added to each reply of one conversation."""
    await asyncio.sleep(after)
    return [await reply(browser, address) for _ in range(rounds)]


def percentile(values: list[float], part: float) -> float:
    """In milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1000


async def measure(conversations: int, rounds: int) -> None:
    """Print the percentiles of what was added."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    providers = json.dumps({"twin": {"base_url": url, "model": "m"}})
    with tempfile.TemporaryDirectory() as folder:
        settings = {"providers": providers, "replies_per_minute": 100_000, "log_level": "error"}
        with Service(Path(folder) / "data", **settings) as service:
            async with service.browser() as browser:
                await service.sign_in(browser)
                begun = [
                    (await ask(browser, "POST", f"{service.url}/conversations", {"title": "T"}))[1]
                    for _ in range(conversations)
                ]
                addresses = [f"{service.url}/conversations/{each['id']}/replies" for each in begun]
                connector = aiohttp.TCPConnector(limit=0)
                async with aiohttp.ClientSession(
                    cookie_jar=browser.cookie_jar, connector=connector
                ) as crowd:
                    await reply(crowd, addresses[0])
                    process = psutil.Process(service.process.pid)
                    worked = sum(process.cpu_times()[:2])
                    spread = WORDS * PAUSE / conversations
                    some = await asyncio.gather(
                        *(
                            talk(crowd, address, number * spread, rounds)
                            for number, address in enumerate(addresses)
                        )
                    )
                    found = [pair for pairs in some for pair in pairs]
                    worked = sum(process.cpu_times()[:2]) - worked
                memory = process.memory_info().rss / 1024**2
    await runner.cleanup()
    for name, values in [
        ("before the model", [before for before, _ in found]),
        ("after the model", [after for _, after in found]),
        ("added in all", [before + after for before, after in found]),
    ]:
        print(
            f"{name:17} p50 {statistics.median(values) * 1000:7.1f} ms"
            f"  p95 {percentile(values, 0.95):7.1f} ms  p99 {percentile(values, 0.99):7.1f} ms"
        )
    each = worked / len(found) * 1000
    print(
        f"{len(found)} replies of {WORDS} words, {conversations} at once, no error; "
        f"{each:.1f} ms of processor a reply; {memory:.0f} MB resident"
    )


if __name__ == "__main__":
    arguments = [int(each) for each in sys.argv[1:]]
    asyncio.run(measure(*(arguments or [100, 3])))
