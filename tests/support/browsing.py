"""Finding a real browser, and checking the pages that it shows."""

import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import ConsoleMessage, Locator, Page, expect

OpenPage = Callable[..., Awaitable[Page]]
# What a browser says of 4xx answers and broken connections, which are no errors of the page.
ANSWERS = ("Failed to load resource", "WebSocket connection to")
NAMES = ("chromium", "chromium-browser", "google-chrome")
UI = Path(__file__).parents[2] / "ui"
AXE = UI / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def find_browser() -> str | None:
    """Return the path of a browser: the named one, or the first of the usual ones."""
    named = os.environ.get("CHATVAULT_TEST_BROWSER")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Complaints:
    """Collects a browser's complaints: errors in the page, and breaches of its policy."""

    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Listen to a page from now on."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.found.append(f"{error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(ANSWERS):
            self.found.append(message.text)


async def violations(page: Page, *, rules: list[str] | None = None) -> list[str]:
    """Return axe's findings about the page, one line each.

    Args:
        page: the page to check.
        rules: the ids of the only rules to apply; None for all of WCAG 2.2 AA.
    """
    # By the browser's debugging protocol: the page's policy allows no script from elsewhere.
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(f"{AXE.read_text()}; undefined")
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
    found = await page.evaluate(
        "only => axe.run(document, {runOnly: only, resultTypes: ['violations']})"
        ".then(({violations}) => violations.map(each => "
        "`${each.id}: ${each.nodes.map(node => node.target + ' ' + node.failureSummary)"
        ".join('; ')}`))",
        only,
    )
    return [str(each) for each in found]


async def ask(page: Page, words: str) -> None:
    """Type a message, and send it."""
    await page.get_by_label("Message", exact=True).fill(words)
    await submit(page, "Send")


async def submit(page: Page, button: str) -> None:
    """Press Enter in a form once its button is enabled; before, Enter does nothing."""
    await expect(page.get_by_role("button", name=button, exact=True)).to_be_enabled()
    await page.keyboard.press("Enter")


async def is_answered(page: Page) -> None:
    """Wait until no answer is under way: while one is, its question cannot be changed."""
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


async def ask_first_again(page: Page, words: str) -> None:
    """Edit the first question, and ask again."""
    await is_answered(page)
    question = page.get_by_role("article").first
    await question.hover()
    await question.get_by_role("button", name="Edit").click()
    await page.get_by_role("textbox", name="Edit").fill(words)
    await page.get_by_role("button", name="Ask again").click()


def said(page: Page, words: str) -> Locator:
    """Words of the thread, and not of what is read out beside it."""
    return page.get_by_role("log").get_by_text(words)
