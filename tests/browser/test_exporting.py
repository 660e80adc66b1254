"""Exports from the page: of one conversation, of several, and of all in the background."""

import asyncio
import gzip
import json

import pytest
from playwright.async_api import Download, Page, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, violations
from support.factories import begin, message


@pytest.fixture
async def reader(sign_in: SignIn) -> HttpClient:
    client = await sign_in("alice")
    for title in ("Fjords", "Bread", "Letters"):
        await begin(client, title=title, messages=[message(f"About {title}.")])
    return client


async def titles(download: Download) -> list[str]:
    path = await download.path()
    data = await asyncio.to_thread(path.read_bytes)
    found = json.loads(gzip.decompress(data) if download.suggested_filename[-3:] == ".gz" else data)
    return sorted(each["title"] for each in found["conversations"])


async def choose(page: Page, form: str) -> None:
    await page.get_by_role("radio", name=form).check()


class TestExport:
    async def test_saves_one_conversation_in_a_chosen_format(
        self, open_page: OpenPage, reader: HttpClient
    ) -> None:
        page = await open_page("/", client=reader)
        menu = page.get_by_role("navigation").get_by_role("button", name="Actions for Fjords")
        await menu.click()
        await page.get_by_role("menuitem", name="Export in another form").click()
        await choose(page, "JSON All of it")
        assert await violations(page) == []
        async with page.expect_download() as coming:
            await page.get_by_role("button", name="Download").click()

        assert await titles(await coming.value) == ["Fjords"]
        await expect(page.get_by_role("dialog")).to_have_count(0)

    async def test_saves_selected_conversations(
        self, open_page: OpenPage, reader: HttpClient
    ) -> None:
        page = await open_page("/library", client=reader)
        await page.get_by_label("Select Fjords").check()
        await page.get_by_label("Select Bread").check()
        await page.get_by_role("button", name="Export", exact=True).click()
        await choose(page, "JSON All of it")
        async with page.expect_download() as coming:
            await page.get_by_role("button", name="Download").click()

        assert await titles(await coming.value) == ["Bread", "Fjords"]

    async def test_saves_all_conversations_in_the_background(
        self, open_page: OpenPage, reader: HttpClient
    ) -> None:
        page = await open_page("/settings/exports", client=reader)
        await choose(page, "JSON All of it")
        await page.get_by_role("button", name="Make the export").click()
        made = page.get_by_role("region", name="JSON")
        await expect(made.get_by_text("Done", exact=True)).to_be_visible()
        await expect(made.get_by_text("3 conversations, 3 messages")).to_be_visible()
        assert await violations(page) == []
        async with page.expect_download() as coming:
            await made.get_by_role("link").click()
        assert await titles(await coming.value) == ["Bread", "Fjords", "Letters"]

        await page.get_by_label("Changed until").fill("2020-01-01")
        await choose(page, "JSON All of it")
        await page.get_by_role("button", name="Make the export").click()
        await expect(page.get_by_text("0 conversations, 0 messages")).to_be_visible()
        await page.get_by_role("button", name="Remove").first.click()
        await expect(page.get_by_text("0 conversations, 0 messages")).to_have_count(0)
        await made.get_by_role("button", name="Remove").click()
        await expect(page.get_by_text("None was made in the background yet.")).to_be_visible()
        assert await (await reader.get("/exports")).json() == []
