"""What the page costs whoever opens it."""

from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page, Response, expect

from conftest import SignIn
from support.browsing import OpenPage
from support.factories import PASSWORD, begin, message
from support.following import Follower
from support.talking import until

FIRST_SCRIPTS = 110 * 1024
FIRST_STYLES = 15 * 1024
PAGE = 40
MOST_SHOWN = 120


class TestFirstLoad:
    async def test_is_small(self, open_page: OpenPage, sign_in: SignIn) -> None:
        answers: list[Response] = []

        def keep(answer: Response) -> None:
            answers.append(answer)

        page = await open_page("/health", client=await sign_in("alice"), own=True)
        page.on("response", keep)
        await page.goto("/")
        await page.get_by_label("Message").wait_for()
        await page.wait_for_load_state("networkidle")

        sizes = {
            each.url: (await each.request.sizes())["responseBodySize"]
            for each in answers
            if each.url.endswith((".js", ".css"))
        }
        scripts = sum(size for url, size in sizes.items() if url.endswith(".js"))
        assert 0 < scripts <= FIRST_SCRIPTS
        assert 0 < sum(sizes.values()) - scripts <= FIRST_STYLES


class TestEarlyRequests:
    """What is shown first is asked for while the page itself is read."""

    async def test_are_made_once(self, open_page: OpenPage, sign_in: SignIn) -> None:
        asked: list[str] = []
        client = await sign_in("alice")
        # Else the page may be told of it when it connects, and would read the lists once more.
        follower = await Follower(client).open()
        await begin(client, title="Fjords")
        await follower.until("conversation.created")
        follower.close()
        page = await open_page("/health", client=client, own=True)
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        await page.goto("/")
        # What changed before the page was connected to live events is read after that. The pinned
        # ones are a list of their own.
        await until(lambda: asked.count("/conversations") == 4)
        await page.get_by_title("Fjords").wait_for()
        await page.wait_for_load_state("networkidle")

        paths = {"/ui/config": 1, "/auth/me": 1, "/users/me/preferences": 1, "/conversations": 4}
        for path, times in paths.items():
            assert asked.count(path) == times, path
            assert asked.index(path) < asked.index("/mcp/tools"), path
        scripts = [index for index, path in enumerate(asked) if "/nodes/" in path]
        assert asked.index("/conversations") < scripts[-1]

    async def test_are_harmless_for_an_expired_session(
        self, open_page: OpenPage, sign_in: SignIn, database: Any
    ) -> None:
        client = await sign_in("alice")
        await begin(client, title="Fjords")
        await database.sessions.delete_many({})
        page = await open_page("/library", client=client)
        await page.get_by_label("Username").fill("alice")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()

        await expect(page.get_by_role("cell", name="Fjords", exact=True)).to_be_visible()
        await expect(page.get_by_role("navigation").get_by_title("Fjords")).to_be_visible()

    async def test_are_not_made_without_a_session(self, open_page: OpenPage) -> None:
        page = await open_page("/health")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        await page.goto("/")
        await page.get_by_label("Username").wait_for()
        assert not {"/auth/me", "/users/me/preferences", "/conversations"} & {*asked}


class TestLongThread:
    async def test_renders_a_small_moving_window(
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

    async def test_does_not_jump_while_older_messages_load(
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
    pane, wanted = page.get_by_role("log"), page.get_by_text(text, exact=True)
    while not await wanted.count():
        await pane.evaluate("pane => { pane.scrollTop -= 2000 }")
        await page.wait_for_timeout(40)
