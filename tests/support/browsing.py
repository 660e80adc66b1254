"""A real browser: which one, and what is wrong with a page that it shows."""

import os
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import ConsoleMessage, Page

OpenPage = Callable[..., Awaitable[Page]]
NAMES = ("chromium", "chromium-browser", "google-chrome")
UI = Path(__file__).parents[2] / "ui"
AXE = UI / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def find_browser() -> str | None:
    """The path of a browser: the one that is named, or the first of the usual ones."""
    named = os.environ.get("CHATVAULT_TEST_BROWSER")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Complaints:
    """What a browser complains about: errors in the page, and breaches of its policy."""

    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Listen to a page from now on."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.found.append(f"{error}"))

    def _said(self, message: ConsoleMessage) -> None:
        # An answer of 4xx is no fault of the page.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.found.append(message.text)


async def violations(page: Page, *, rules: list[str] | None = None) -> list[str]:
    """What axe finds wrong with the page as it is now, a line each.

    Args:
        page: where to look.
        rules: the ids of the only rules to ask; None for all of WCAG 2.2 AA.
    """
    # By the browser's own means: the page's policy takes no script from elsewhere.
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
    """Write a message, and send it."""
    await page.get_by_label("Message").fill(words)
    await page.keyboard.press("Enter")
