"""Imports in the background: large or several files are uploaded, tried and carried out."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Request, Route, expect

from conftest import SignIn
from support.browsing import OpenPage, violations
from support.exports import exported


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files of the old page's form: three conversations, and two more of them new ones."""
    paths = [tmp_path / "first.json", tmp_path / "second.json"]
    for path, numbers in zip(paths, [(1, 2, 3), (3, 4, 5)], strict=True):
        path.write_text(json.dumps([exported(number) for number in numbers]))
    return paths


async def count(page: Page, label: str) -> str:
    card = page.locator("dl div").filter(has=page.get_by_text(label, exact=True))
    return await card.locator("dd").inner_text()


async def choose(page: Page, files: list[Path]) -> None:
    await page.get_by_label("Choose files").set_input_files(files)


class TestImport:
    async def test_imports_several_files_after_a_dry_run(
        self, open_page: OpenPage, sign_in: SignIn, database: Any, files: list[Path]
    ) -> None:
        page = await open_page("/move", client=await sign_in("alice"))
        await choose(page, files)
        await expect(page.get_by_text("Nothing is stored yet")).to_be_visible()
        assert await count(page, "To import") == "5"
        assert await database.conversations.count_documents({}) == 0
        assert await violations(page) == []
        await page.get_by_role("button", name="Import", exact=True).click()

        await expect(page.get_by_role("heading", name="The import is complete")).to_be_visible()
        assert await count(page, "Imported") == "5"
        assert await database.conversations.count_documents({}) == 5
        await page.get_by_role("button", name="Import something else").click()
        earlier = page.get_by_role("region", name="Imports in the background")
        await earlier.get_by_role("button", name="Show").click()
        assert await count(page, "Imported") == "5"

        await page.get_by_role("button", name="Import something else").click()
        await choose(page, files)
        await expect(page.get_by_text("Nothing was imported")).to_be_visible()

    async def test_replaces_and_restores_conversations_on_request(
        self, open_page: OpenPage, sign_in: SignIn, database: Any, files: list[Path]
    ) -> None:
        client = await sign_in("alice")
        await client.post("/imports", data=files[0].read_bytes())
        [kept, gone, _] = await (await client.get("/conversations")).json()
        await client.delete(f"/conversations/{gone['id']}")
        await client.patch(f"/conversations/{kept['id']}", json={"title": "Mine"})
        page = await open_page("/move", client=client)
        await page.get_by_text("Options", exact=True).click()
        await page.get_by_label("What was imported before").select_option("replace")
        await page.get_by_label("Import what you deleted here, too").check()
        assert await violations(page) == []
        await choose(page, files[:1])
        await page.get_by_role("button", name="Import", exact=True).click()

        await expect(page.get_by_role("heading", name="The import is complete")).to_be_visible()
        found = await (await client.get("/conversations")).json()
        assert sorted(each["title"] for each in found) == ["About 1", "About 2", "About 3"]

    async def test_resumes_an_interrupted_upload(
        self, open_page: OpenPage, sign_in: SignIn, files: list[Path]
    ) -> None:
        page = await open_page("/move", client=await sign_in("alice"))
        broken: list[str] = []

        async def breaks(route: Route) -> None:
            if route.request.method == "PATCH" and len(broken) < 2:
                broken.append(route.request.url)
                await route.abort()
            else:
                await route.continue_()

        await page.route("**/imports/uploads/*", breaks)
        await choose(page, files)
        await expect(page.get_by_text("Nothing is stored yet")).to_be_visible()

        assert len(broken) == 2
        assert await count(page, "To import") == "5"

    async def test_can_be_cancelled_and_leaves_no_upload(
        self, open_page: OpenPage, sign_in: SignIn, database: Any, files: list[Path]
    ) -> None:
        page = await open_page("/move", client=await sign_in("alice"))
        await choose(page, files)
        await expect(page.get_by_text("Nothing is stored yet")).to_be_visible()
        assert await database.import_uploads.count_documents({}) == 2
        await page.get_by_role("button", name="Cancel").click()

        await expect(page.get_by_label("Choose files")).to_be_attached()
        assert await database.import_uploads.count_documents({}) == 0
        assert await database.conversations.count_documents({}) == 0

    @pytest.mark.long
    async def test_is_resumed_after_a_reload(
        self, open_page: OpenPage, sign_in: SignIn, files: list[Path]
    ) -> None:
        page = await open_page("/move", client=await sign_in("alice"))
        begun: list[str] = []

        def note(request: Request) -> None:
            if request.method == "POST" and request.url.endswith("/imports/uploads"):
                begun.append(request.url)

        page.on("request", note)
        stuck = asyncio.Event()

        async def breaks(route: Route) -> None:
            if route.request.method == "PATCH":
                stuck.set()
                await route.abort()
            else:
                await route.continue_()

        await page.route("**/imports/uploads/*", breaks)
        await choose(page, files)
        await stuck.wait()
        await page.unroute("**/imports/uploads/*")
        await page.reload()
        await choose(page, files)

        await expect(page.get_by_text("Nothing is stored yet")).to_be_visible()
        assert len(begun) == 2
