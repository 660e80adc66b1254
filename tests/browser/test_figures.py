"""What the page costs when there is much: `scripts/page-figures` prints the figures.

Limits are far above what an idle machine shows, so that a busy one does not meet them.
"""

import os
import statistics
import time
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import CDPSession, Page, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage
from support.factories import begin, message
from support.inserting import insert_conversations

pytestmark = pytest.mark.long
ROWS = 10_000
MESSAGES = 5_000
# Lengths of threads that are opened in turns; a million messages take minutes to store.
LENGTHS = (100, 100_000, *((1_000_000,) if os.environ.get("PAGE_MILLION") else ()))
TURNS = 7
AT_ONCE = 1_000
SLOWER = 4
MB = 1024 * 1024
WORDS = """Message {number}: the **fjord** has `code`, a list and a table.

- one
- two

| a | b |
|---|---|
| 1 | {number} |
"""
WATCH = """
window.figures = {long: [], paint: 0};
new PerformanceObserver(list => {
  for (const each of list.getEntries()) figures.long.push(each.duration);
}).observe({type: 'longtask', buffered: true});
new PerformanceObserver(list => {
  for (const each of list.getEntries()) figures.paint = each.startTime;
}).observe({type: 'largest-contentful-paint', buffered: true});
"""


def show(what: str, figure: str) -> None:
    print(f"{what}: {figure}")  # noqa: T201  # what the script is for


@dataclass
class Watch:
    """Looks into a page from the outside."""

    page: Page
    session: CDPSession

    async def size(self) -> tuple[float, int]:
        """Megabytes that live in the heap, and elements in the page."""
        await self.session.send("HeapProfiler.collectGarbage")
        heap: dict[str, Any] = await self.session.send("Runtime.getHeapUsage")
        nodes = await self.page.evaluate("document.querySelectorAll('*').length")
        return heap["usedSize"] / MB, nodes

    async def long_tasks(self) -> str:
        found: list[float] = await self.page.evaluate("figures.long.splice(0)")
        return f"{len(found)} tasks over 50 ms, the longest {max(found, default=0):.0f} ms"


async def watch(page: Page) -> Watch:
    return Watch(page, await page.context.new_cdp_session(page))


async def scroll_to(page: Page, target: str, pane: str, *, step: int) -> int:
    """Scroll until something is there; returns the most elements that the page had."""
    most = 0
    for _ in range(20_000):
        if await page.locator(target).count():
            return most
        nodes = await page.evaluate(
            "([pane, step]) => { document.querySelector(pane).scrollTop += step;"
            " return document.querySelectorAll('*').length }",
            [pane, step],
        )
        most = max(most, nodes)
        await page.evaluate("new Promise(requestAnimationFrame)")
    raise AssertionError(target)


async def test_first_load(open_page: OpenPage, sign_in: SignIn) -> None:
    page = await open_page("/health", client=await sign_in("alice"), own=True)
    await page.context.add_init_script(WATCH)
    watched = await watch(page)
    for rate in (1, SLOWER):
        await watched.session.send("Emulation.setCPUThrottlingRate", {"rate": rate})
        began = time.monotonic()
        await page.goto("/")
        await page.get_by_label("Message").wait_for()
        ready = time.monotonic() - began
        await page.wait_for_load_state("networkidle")
        paint = await page.evaluate("figures.paint")
        show(f"first load, processor {rate}x slower", f"{paint:.0f} ms to the largest paint")
        show("  until one can write", f"{ready * 1000:.0f} ms; {await watched.long_tasks()}")
        assert paint < 1500 * rate * 2


async def test_sidebar(open_page: OpenPage, sign_in: SignIn) -> None:
    client = await sign_in("alice")
    await insert_conversations("alice", ROWS)
    page = await open_page("/health", client=client, own=True)
    await page.context.add_init_script(WATCH)
    watched = await watch(page)
    began = time.monotonic()
    await page.goto("/")
    await page.get_by_title(f"Conversation {ROWS - 1}", exact=True).wait_for()
    show(f"sidebar of {ROWS:,}", f"{(time.monotonic() - began) * 1000:.0f} ms to the first rows")
    heap, nodes = await watched.size()
    await watched.long_tasks()
    began = time.monotonic()
    most = await scroll_to(page, "[title='Conversation 0']", ".rows", step=1_500)
    after, _ = await watched.size()
    show("  scrolled to its end", f"{time.monotonic() - began:.1f} s; {await watched.long_tasks()}")
    show("  elements", f"{nodes} before, at most {most}")
    show("  heap", f"{heap:.1f} MB before, {after:.1f} MB with all rows read")
    assert most < 1_000


async def test_thread(open_page: OpenPage, sign_in: SignIn) -> None:
    client = await sign_in("alice")
    messages = [
        message(WORDS.format(number=number), "assistant" if number % 2 else "user")
        for number in range(MESSAGES)
    ]
    made = await begin(client, title="Long", messages=messages)
    page = await open_page("/health", client=client, own=True)
    await page.context.add_init_script(WATCH)
    watched = await watch(page)
    began = time.monotonic()
    await page.goto(f"/c/{made['id']}")
    await expect(page.get_by_text(f"Message {MESSAGES - 1}:")).to_be_visible()
    show(f"thread of {MESSAGES:,}", f"{(time.monotonic() - began) * 1000:.0f} ms to the newest")
    await watched.long_tasks()
    sizes, most = [], 0
    for seq in (MESSAGES - 400, MESSAGES // 2, 0):
        target = f"[data-seq='{seq}']"
        most = max(most, await scroll_to(page, target, "[role=log]", step=-1_500))
        sizes.append((await watched.size())[0])
        took = f"{time.monotonic() - began:.0f} s, heap {sizes[-1]:.1f} MB"
        show(f"  scrolled up by {MESSAGES - seq:,}", f"{took}; {await watched.long_tasks()}")
    show("  elements", f"at most {most}")
    assert most < 20_000
    assert sizes[-1] < sizes[0] * 1.5


async def begin_long(client: HttpClient, length: int) -> str:
    """Return the path of a thread with so many short messages."""
    made = await begin(client, title=f"{length:,} messages")
    path = f"/conversations/{made['id']}/messages:batch"
    for start in range(0, length, AT_ONCE):
        numbers = range(start, min(length, start + AT_ONCE))
        body = {"messages": [message(f"Message {number}:") for number in numbers]}
        answer = await client.post(path, json=body, headers={"Prefer": "return=minimal"})
        assert answer.status == 200, await answer.text()
    return f"/c/{made['id']}"


@pytest.mark.timeout(900)
async def test_lengths(open_page: OpenPage, sign_in: SignIn) -> None:
    client = await sign_in("alice")
    threads = {length: await begin_long(client, length) for length in LENGTHS}
    page = await open_page("/health", client=client, own=True)
    times: dict[int, list[float]] = {length: [] for length in LENGTHS}
    # The first turn fills the browser's cache.
    for turn in range(TURNS + 1):
        for length, address in threads.items():
            await page.goto("/health")
            began = time.monotonic()
            await page.goto(address)
            await expect(page.get_by_text(f"Message {length - 1}:")).to_be_visible()
            times[length] += [time.monotonic() - began] if turn else []
    medians = {length: statistics.median(found) for length, found in times.items()}
    for length, median in medians.items():
        ratio = median / medians[LENGTHS[0]]
        show(f"thread of {length:,}", f"{median * 1000:.0f} ms to the newest, {ratio:.2f} times")
    assert medians[LENGTHS[-1]] < 2 * medians[LENGTHS[0]]
