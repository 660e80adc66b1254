"""Files in the composer: chosen, dropped or pasted, stored with the message, and within limits."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, ask, said, violations
from support.factories import begin

NOTE = b"The fjord is deep."
PUT = """
(field, {event, names}) => {
  const data = new DataTransfer();
  for (const name of names) data.items.add(new File(['of ' + name], name, {type: 'text/plain'}));
  const options = {bubbles: true, cancelable: true};
  field.dispatchEvent(event === 'drop'
    ? new DragEvent('drop', {...options, dataTransfer: data})
    : new ClipboardEvent('paste', {...options, clipboardData: data}));
}
"""


async def put(page: Page, event: str, *names: str) -> None:
    """Drop files on the field for messages, or paste them."""
    await page.get_by_label("Message").evaluate(PUT, {"event": event, "names": names})


async def choose(page: Page, *files: Path) -> None:
    async with page.expect_file_chooser() as coming:
        await page.get_by_role("button", name="Attach files").click()
    await (await coming.value).set_files(files)


async def stored(client: HttpClient, made: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/conversations/{made}/attachments")
    found: list[dict[str, Any]] = (await answer.json())["attachments"]
    return sorted(found, key=lambda each: str(each["name"]))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_bytes(NOTE)
    return path


class TestFiles:
    async def test_sends_chosen_dropped_and_pasted_files(
        self, open_page: OpenPage, sign_in: SignIn, notes: Path
    ) -> None:
        client = await sign_in("alice")
        made = (await begin(client))["id"]
        page = await open_page(f"/c/{made}", client=client)
        await choose(page, notes)
        await put(page, "drop", "dropped.txt", "unwanted.txt")
        await put(page, "paste", "pasted.txt")
        await page.get_by_role("button", name="Remove unwanted.txt").click()
        assert await violations(page) == []
        assert await stored(client, made) == []
        await ask(page, "Here they are")

        await expect(said(page, "Here they are")).to_be_visible()
        await expect(page.get_by_role("link", name="Download notes.txt")).to_be_visible()
        await expect(page.get_by_role("list", name="Files to send")).to_have_count(0)
        found = await stored(client, made)
        assert [each["name"] for each in found] == ["dropped.txt", "notes.txt", "pasted.txt"]
        path = f"/conversations/{made}/attachments/{found[1]['id']}"
        assert await (await client.get(path)).read() == NOTE

    async def test_begins_a_conversation_with_files(
        self, open_page: OpenPage, sign_in: SignIn, notes: Path
    ) -> None:
        client = await sign_in("alice")
        page = await open_page("/", client=client)
        await choose(page, notes)
        await ask(page, "What is in it?")

        await expect(page.get_by_role("link", name="Download notes.txt")).to_be_visible()
        [conversation] = await (await client.get("/conversations")).json()
        read = await (await client.get(f"/conversations/{conversation['id']}/messages")).json()
        # The answer may be there already.
        asked = [each["content"] for each in read["messages"] if each["role"] == "user"]
        assert asked == ["What is in it?"]

    async def test_keeps_the_message_if_files_cannot_be_stored(
        self, open_page: OpenPage, sign_in: SignIn, notes: Path, tmp_path: Path
    ) -> None:
        client = await sign_in("alice")
        made = (await begin(client))["id"]
        page = await open_page(f"/c/{made}", client=client)
        large = tmp_path / "large.bin"
        large.write_bytes(bytes(26 * 1024**2))
        await choose(page, large)
        await expect(page.get_by_role("alert")).to_have_text("large.bin is larger than 25 MB.")

        path = f"**/conversations/{made}/attachments?*"
        await page.route(path, lambda route: route.abort())
        await choose(page, notes)
        await ask(page, "Here it is")
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.get_by_label("Message", exact=True)).to_have_value("Here it is")
        await page.unroute(path)
        await page.get_by_role("button", name="Send").click()

        await expect(said(page, "Here it is")).to_be_visible()
        assert [each["name"] for each in await stored(client, made)] == ["notes.txt"]
