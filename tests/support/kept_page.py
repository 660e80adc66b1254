"""A page of a browser that tests use one after the other.

A browser of its own costs a test a second of a processor: a process is started, and the page's
programs are fetched and compiled again.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Browser, BrowserContext, Error, Page, ViewportSize

from support.browsing import Complaints

WIDE: ViewportSize = {"width": 1280, "height": 800}
USUAL: dict[str, Any] = {"viewport": WIDE, "reduced_motion": "reduce"}
NOWHERE = "about:blank"
# The events that a test may listen to; what listens stays, so such a page is not kept.
EVENTS = ("console", "dialog", "download", "pageerror", "popup", "request", "response", "websocket")


class KeptPage:
    """Gives out one page, and cleans it afterwards, or opens another if that cannot be done.

    Args:
        open_in: opens a page in a new context, and collects what the browser complains of.

    Attributes:
        is_used: whether a test has it.
    """

    def __init__(
        self,
        browser: Browser,
        open_in: Callable[[BrowserContext, Complaints], Awaitable[Page]],
    ) -> None:
        self.is_used = False
        self._browser = browser
        self._open_in = open_in
        self._page: Page | None = None
        self._home = ""
        self._complaints = Complaints()
        self._listening: list[int] = []

    async def take(self, home: str) -> Page:
        """Return the page, on no address yet; nobody is signed in.

        Args:
            home: the service's address.
        """
        if self._page is not None and self._home != home:
            await self.close()
        if self._page is None:
            context = await self._browser.new_context(base_url=home, **USUAL)
            self._page = await self._open_in(context, self._complaints)
            self._home = home
            self._listening = _listening(self._page)
        self.is_used = True
        return self._page

    async def give_back(self) -> list[str]:
        """Clean the page that a test has used; return what the browser has complained of."""
        if not self.is_used or self._page is None:
            return []
        try:
            if _listening(self._page) == self._listening and not _has_routed_sockets(self._page):
                await _clean(self._page, self._home)
            else:
                await self.close()
        except Error:
            await self.close()
        self.is_used = False
        found, self._complaints.found = self._complaints.found, []
        return found

    async def close(self) -> None:
        """Close the page, if there is one."""
        if self._page is not None:
            page, self._page = self._page, None
            await page.context.close()


def _listening(page: Page) -> list[int]:
    """Return how many functions listen to each event of the page."""
    return [len(page._impl_obj.listeners(event)) for event in EVENTS]


def _has_routed_sockets(page: Page) -> bool:
    """Return whether a test answers the sockets of the page, which nothing takes back."""
    return bool(page._impl_obj._web_socket_routes)


async def _clean(page: Page, home: str) -> None:
    """Let the next test find nothing of this one.

    Raises:
        Error: the page cannot be cleaned.
    """
    context = page.context
    for other in context.pages:
        if other is not page:
            await other.close()
    await context.set_offline(False)
    await page.unroute_all()
    await context.unroute_all()
    if page.url.startswith(home):
        await page.evaluate("sessionStorage.clear()")
    await page.goto(NOWHERE)
    session = await context.new_cdp_session(page)
    await session.send(
        "Storage.clearDataForOrigin",
        {"origin": home.rstrip("/"), "storageTypes": "cookies,local_storage,indexeddb,websql"},
    )
    await session.detach()
    await context.clear_cookies()
    await context.clear_permissions()
    await page.set_viewport_size(WIDE)
    await page.emulate_media(
        media="null", color_scheme="light", reduced_motion="reduce", forced_colors="null"
    )
