"""What the page costs whoever opens it."""

from playwright.async_api import Page, Response, expect

from conftest import SignIn
from support.browsing import OpenPage
from support.factories import begin, message

FIRST_SCRIPTS = 110 * 1024
FIRST_STYLES = 15 * 1024
PAGE = 40
MOST_SHOWN = 120


class TestFirstLoad:
    async def test_is_small(self, open_page: OpenPage, sign_in: SignIn) -> None:
        sizes: dict[str, int] = {}

        async def count(response: Response) -> None:
            if response.url.endswith((".js", ".css")):
                sizes[response.url] = (await response.request.sizes())["responseBodySize"]

        page = await open_page("/health", client=await sign_in("alice"))
        page.on("response", count)
        await page.goto("/")
        await page.get_by_label("Message").wait_for()
        await page.wait_for_load_state("networkidle")

        scripts = sum(size for url, size in sizes.items() if url.endswith(".js"))
        assert 0 < scripts <= FIRST_SCRIPTS
        assert 0 < sum(sizes.values()) - scripts <= FIRST_STYLES


class TestLongThread:
    async def test_shows_a_window_that_moves_and_stays_small(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        messages = [message(f"Message {number}.") for number in range(200)]
        made = await begin(client, title="Long", messages=messages)
        page = await open_page(f"/c/{made['id']}", client=client)
        articles = page.get_by_role("article")
        await expect(page.get_by_text("Message 199.")).to_be_in_viewport()
        assert await articles.count() == PAGE

        await _scroll_until(page, "Message 0.")
        assert await articles.count() <= MOST_SHOWN
        await page.get_by_role("button", name="To the newest message").click()
        await expect(page.get_by_text("Message 199.")).to_be_in_viewport()
        assert await articles.count() <= MOST_SHOWN

    async def test_does_not_jump_while_older_messages_come(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        client = await sign_in("alice")
        messages = [message(f"Message {number}.") for number in range(100)]
        made = await begin(client, title="Long", messages=messages)
        page = await open_page(f"/c/{made['id']}", client=client)
        seen = page.get_by_text("Message 60.")
        await expect(page.get_by_text("Message 99.")).to_be_in_viewport()
        await page.get_by_role("log").evaluate("pane => { pane.scrollTop = 0 }")
        await expect(page.get_by_text("Message 20.")).to_be_attached()

        await expect(seen).to_be_in_viewport()


async def _scroll_until(page: Page, text: str) -> None:
    pane = page.get_by_role("log")
    for _attempt in range(60):
        if await page.get_by_text(text, exact=True).count():
            return
        await pane.evaluate("pane => { pane.scrollTop -= 2000 }")
        await page.wait_for_timeout(40)
    raise AssertionError(text)
