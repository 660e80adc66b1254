"""History comes over from the old page: from a file, this browser, the clipboard, or a bookmark."""

import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

from chatvault.importing.formats.localstorage import CONVERSATIONS_KEY, SETTINGS_KEY
from conftest import SignIn
from support.browsing import OpenPage, said
from support.exports import SETTINGS, exported


def kept(*numbers: int) -> dict[str, str]:
    """What the old page keeps, by its keys."""
    conversations = [exported(number) for number in numbers]
    # The page would go on in the old page's language.
    settings = SETTINGS | {"language": "en"}
    return {CONVERSATIONS_KEY: json.dumps(conversations), SETTINGS_KEY: json.dumps(settings)}


@pytest.fixture
async def old_page() -> AsyncIterator[str]:
    """The address of a page on another origin."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="<h1>Old</h1>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", answer)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("/"))
    await server.close()


async def count(page: Page, label: str) -> str:
    return await page.locator("dl div", has_text=label).locator("dd").inner_text()


async def bring_in(page: Page) -> None:
    await expect(page.get_by_text("Nothing is stored yet")).to_be_visible()
    await page.get_by_role("button", name="Import", exact=True).click()
    await expect(page.get_by_role("heading", name="The import is complete")).to_be_visible()


class TestMove:
    async def test_reports_the_outcome_for_each_conversation_of_a_file(
        self, open_page: OpenPage, sign_in: SignIn, database: Any, tmp_path: Path
    ) -> None:
        page = await open_page("/move", client=await sign_in("alice"))
        file = tmp_path / "old.json"
        broken = exported(3) | {"messages": "none"}
        file.write_text(json.dumps([exported(1), exported(2) | {"isLoading": True}, broken]))
        await page.get_by_label("Choose files").set_input_files(file)

        await expect(page.get_by_text("Nothing is stored yet")).to_be_visible()
        assert [await count(page, each) for each in ("To import", "Left out")] == ["2", "1"]
        assert await database.conversations.count_documents({}) == 0
        await bring_in(page)
        assert [await count(page, each) for each in ("Imported", "Messages")] == ["2", "8"]
        await page.get_by_text("What is left out, and why").click()
        await expect(page.get_by_text("conversation 3")).to_be_visible()
        assert await database.conversations.count_documents({}) == 2

        await page.get_by_role("button", name="Import something else").click()
        await page.get_by_label("Choose files").set_input_files(file)
        await expect(page.get_by_text("All of it is here already.")).to_be_visible()
        await page.get_by_role("link", name="Library").click()
        await expect(page.get_by_role("cell", name="About 1", exact=True)).to_be_visible()

    @pytest.mark.long
    async def test_accepts_the_zip_of_another_product(
        self, open_page: OpenPage, sign_in: SignIn, tmp_path: Path
    ) -> None:
        roles = {"root": None, "q": "user", "a": "assistant", "b": "assistant"}
        before = {"q": "root", "a": "q", "b": "q"}
        nodes = {
            name: {
                "id": name,
                "parent": before.get(name),
                "children": [each for each in before if before[each] == name],
                "message": role
                and {
                    "id": name,
                    "author": {"role": role},
                    "create_time": 1_760_000_000.5,
                    "content": {"content_type": "text", "parts": [f"This is {name}"]},
                },
            }
            for name, role in roles.items()
        }
        conversation = {"id": "c", "title": "Fjords", "create_time": 1_760_000_000.5}
        file = tmp_path / "export.zip"
        with zipfile.ZipFile(file, "w") as archive:
            found = [{**conversation, "mapping": nodes, "current_node": "b"}]
            archive.writestr("conversations.json", json.dumps(found))
        page = await open_page("/move", client=await sign_in("alice"))

        await page.get_by_label("Choose files").set_input_files(file)
        await bring_in(page)

        assert [await count(page, each) for each in ("Imported", "Messages")] == ["1", "3"]
        await page.get_by_role("link", name="Fjords").click()
        await expect(said(page, "This is b")).to_be_visible()
        await expect(page.get_by_role("group", name="Branches")).to_contain_text("1 / 2")
        await page.get_by_role("button", name="Later branch").click()
        await expect(said(page, "This is a")).to_be_visible()

    async def test_clears_the_copy_in_this_browser_on_request(
        self, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        page = await open_page("/health", client=await sign_in("alice"))
        for key, value in kept(1, 2).items():
            await page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, value])
        await page.goto("/move")
        await page.get_by_role("button", name="See what is there").click()
        await bring_in(page)
        assert await page.evaluate("localStorage.length") > 2

        await page.get_by_role("button", name="Clear the old copy").click()
        await expect(page.get_by_role("button", name="Clear the old copy")).to_have_count(0)
        left = await page.evaluate("Object.keys(localStorage)")
        assert [key for key in left if key.startswith("ai-")] == []

    async def test_accepts_the_clipboard(self, open_page: OpenPage, sign_in: SignIn) -> None:
        page = await open_page("/move", client=await sign_in("alice"))
        await page.get_by_text("Paste the old page").click()
        await page.get_by_label("Copied text").fill("no JSON")
        look = page.get_by_role("button", name="See what is there")
        await look.click()
        await expect(page.get_by_role("alert")).to_contain_text("neither JSON")
        await page.get_by_role("button", name="Cancel").click()

        await page.get_by_text("Paste the old page").click()
        await page.get_by_label("Copied text").fill(json.dumps(kept(1)))
        await look.click()
        await bring_in(page)

    async def test_accepts_a_bookmark_from_another_origin(
        self, open_page: OpenPage, sign_in: SignIn, old_page: str
    ) -> None:
        page = await open_page("/move", client=await sign_in("alice"))
        await page.get_by_text("With a bookmark").click()
        bookmark = await page.get_by_role("link", name="Move to chatvault").get_attribute("href")
        await page.goto(old_page)
        for key, value in kept(1, 2, 3).items():
            await page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, value])
        async with page.expect_popup() as opening:
            # As a browser runs a bookmark.
            await page.evaluate("href => { location.href = href }", bookmark)
        popup = await opening.value

        origin = old_page.rstrip("/")
        await expect(popup.get_by_role("heading", name=f"From {origin}")).to_be_visible()
        assert await count(popup, "To import") == "3"
        await bring_in(popup)
        assert re.search("ai-chat", str(await page.evaluate("Object.keys(localStorage)")))
