"""What imported messages hold beside their words, and files: shown, and never run."""

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, said, violations
from support.factories import begin, message

BAD = "<img src=x onerror='window.hit = 1'><script>window.hit = 2</script>"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def attach(client: HttpClient, made: str, name: str, mime: str, data: bytes) -> str:
    answer = await client.post(
        f"/conversations/{made}/attachments",
        params={"name": name},
        data=data,
        headers={"Content-Type": mime},
    )
    assert answer.status == 201
    return str((await answer.json())["id"])


async def tell(client: HttpClient, made: str, *messages: dict[str, Any]) -> None:
    path = f"/conversations/{made}/messages:batch"
    answer = await client.post(path, json={"messages": messages})
    assert answer.status == 200, await answer.text()


@pytest.fixture
async def made(sign_in: SignIn) -> tuple[HttpClient, str]:
    client = await sign_in("alice")
    return client, (await begin(client, title="Fjords"))["id"]


async def opened(open_page: OpenPage, made: tuple[HttpClient, str]) -> Page:
    page = await open_page(f"/c/{made[1]}", client=made[0])
    await page.get_by_role("article").first.wait_for()
    return page


def everything(picture: str) -> dict[str, Any]:
    parts = [
        {"type": "thinking", "text": f"Hm. {BAD}", "duration_s": 12.4},
        {"type": "tool_call", "id": "c", "name": f"find {BAD}", "input": {"place": BAD}},
        {"type": "tool_result", "call_id": "c", "output": f"found {BAD}", "is_error": True},
        {"type": "text", "text": "The **Geirangerfjord**."},
        {"type": "file", "attachment_id": picture, "width": 40, "height": 30},
        {"type": "file", "attachment_id": "gone", "name": BAD, "transcript": f"Spoken. {BAD}"},
        {"type": "citation", "url": "https://fjords.example/a", "title": BAD, "quote": "Deep."},
        {"type": "citation", "url": "javascript:window.hit=3", "title": "Bad"},
        {"type": "raw", "source_type": "canvas", "value": {"html": BAD}},
    ]
    return message("The **Geirangerfjord**.", "assistant", parts=parts, time_source="neighbour")


class TestMessage:
    async def test_shows_every_part_and_runs_no_content(
        self, open_page: OpenPage, made: tuple[HttpClient, str]
    ) -> None:
        picture = await attach(*made, "map.png", "image/png", PIXEL)
        await tell(*made, message("Which?"), everything(picture))
        page = await opened(open_page, made)
        answer = page.get_by_role("article").last

        await expect(answer.locator("strong")).to_have_text("Geirangerfjord")
        for fold in ("Thoughts, 12 s", "With these arguments", "Result", "Transcript"):
            await answer.get_by_text(fold, exact=True).click()
        await answer.get_by_text("Kept as it came: canvas").click()
        for words in ("Hm. <img", '"place": "<img', "found <img", "Spoken. <img", '"html": "<img'):
            await expect(answer.get_by_text(words)).to_be_visible()
        await expect(answer.get_by_text("Failed", exact=True)).to_be_visible()
        await expect(answer.get_by_text("Not here", exact=False)).to_be_visible()
        shown = answer.get_by_role("img", name="Picture map.png")
        await shown.scroll_into_view_if_needed()
        await expect(shown).to_have_js_property("complete", value=True)
        assert await shown.evaluate("each => each.naturalWidth") == 1
        links = await answer.get_by_role("link").evaluate_all("all => all.map(each => each.href)")
        assert [each for each in links if not each.startswith(("http://127.", "https://fj"))] == []
        await expect(answer.get_by_text("The time is that of a message")).to_be_attached()
        assert await answer.locator("script, iframe, [onerror]").count() == 0
        assert await page.evaluate("window.hit") is None
        assert await violations(page) == []

    async def test_hides_unknown_parts_of_other_clients(
        self, open_page: OpenPage, made: tuple[HttpClient, str]
    ) -> None:
        await tell(*made, message("Words.", "assistant", parts=["mine"], hidden="yes"))
        page = await opened(open_page, made)

        await expect(said(page, "Words.")).to_be_visible()

    async def test_shows_the_result_of_a_tool(
        self, open_page: OpenPage, made: tuple[HttpClient, str]
    ) -> None:
        parts = [{"type": "tool_result", "name": "find", "output": {"found": 3}}]
        await tell(*made, message("Find"), message("", "tool", parts=parts))
        page = await opened(open_page, made)
        result = page.get_by_role("region", name="Result of find")
        await result.get_by_text("Result", exact=True).click()

        await expect(result.get_by_text('"found": 3')).to_be_visible()


class TestHiddenMessages:
    async def test_are_shown_on_request(
        self, open_page: OpenPage, made: tuple[HttpClient, str]
    ) -> None:
        secret = [message(f"Setting {number}.", "system", hidden=True) for number in range(2)]
        await tell(*made, *secret, message("Hello"))
        page = await opened(open_page, made)
        await expect(said(page, "Setting 0.")).to_have_count(0)
        await page.get_by_role("button", name="Show 2 hidden messages").click()

        await expect(said(page, "Setting 1.")).to_be_visible()
        await page.get_by_role("button", name="Hide hidden messages").click()
        await expect(said(page, "Setting 1.")).to_have_count(0)


class TestFile:
    async def test_is_downloaded_unchanged(
        self, open_page: OpenPage, made: tuple[HttpClient, str], tmp_path: Path
    ) -> None:
        data = b"<script>window.hit = 1</script>"
        file = await attach(*made, "page.html", "text/html", data)
        part = {"type": "file", "attachment_id": file}
        await tell(*made, message("Look", parts=[{"type": "text", "text": "Look"}, part]))
        page = await opened(open_page, made)
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="Download page.html").click()
        await (await coming.value).save_as(tmp_path / "saved")

        assert (tmp_path / "saved").read_bytes() == data
        assert await page.get_by_role("article").locator("img").count() == 0
        await expect(page.get_by_text("31 bytes")).to_be_visible()
