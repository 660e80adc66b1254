"""Public links on the page: made, opened without an account, copied, revoked."""

from typing import Any

from playwright.async_api import Page, expect

from conftest import HttpClient, SignIn
from support.browsing import OpenPage, violations
from support.factories import PASSWORD, begin, message
from support.links import link_to

HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:alert(2)) ![b](https://example.org/b.png)"


async def share(page: Page, conversation: dict[str, Any]) -> Any:
    """Open the dialog of links from the menu of the thread."""
    await page.goto(f"/c/{conversation['id']}")
    await page.get_by_role("main").get_by_role("button", name="Actions for Fjords").click()
    await page.get_by_role("menuitem", name="Share").click()
    dialog = page.get_by_role("dialog")
    links = dialog.get_by_text("Links", exact=True)
    await expect(links).to_be_visible()
    # What is read above it moves it while it is clicked.
    await expect(dialog.locator("[aria-busy]")).to_have_count(0)
    await links.click()
    return dialog


class TestDialog:
    async def test_makes_lists_and_revokes_links(
        self, alice: HttpClient, open_page: OpenPage
    ) -> None:
        conversation = await begin(alice, title="Fjords", messages=[message("Which fjord first?")])
        hers = await open_page(client=alice)
        dialog = await share(hers, conversation)
        await expect(dialog.get_by_text("There is no link to this conversation.")).to_be_visible()
        await dialog.get_by_label("It works for").select_option("7 days")
        await dialog.get_by_label("Password (optional)").fill("short")
        await dialog.get_by_role("button", name="Make the link").click()
        await expect(dialog.get_by_text("at least 8")).to_be_visible()
        await dialog.get_by_label("Password (optional)").fill("a long evening")
        await dialog.get_by_role("button", name="Make the link").click()
        made = dialog.get_by_role("region", name="The link", exact=True)
        await expect(made).to_be_focused()
        address = await made.locator("code").inner_text()
        assert await violations(hers) == []

        reader = await open_page(address)
        await expect(reader.get_by_text("This conversation has a password")).to_be_visible()
        assert await violations(reader) == []
        await reader.get_by_label("Password", exact=True).fill("another evening")
        await reader.get_by_role("button", name="Open").click()
        await expect(reader.get_by_text("This is not the password.")).to_be_visible()
        await reader.get_by_label("Password", exact=True).fill("a long evening")
        await reader.get_by_role("button", name="Open").click()
        await expect(reader.get_by_role("heading", name="Fjords")).to_be_visible()
        await expect(reader.get_by_text("Which fjord first?")).to_be_visible()
        assert await reader.get_by_role("button", name="Copy to my conversations").count() == 0
        assert await violations(reader) == []

        await dialog.get_by_role("button", name="Revoke the link").click()
        await expect(dialog.get_by_text("Revoked")).to_be_visible()
        await expect(dialog.get_by_text("Opened once")).to_be_visible()
        await reader.reload()
        await expect(reader.get_by_text("This link does not work")).to_be_visible()


class TestMine:
    async def test_are_listed_and_revoked(self, alice: HttpClient, open_page: OpenPage) -> None:
        conversation = await begin(alice, title="Fjords", messages=[message("Which fjord first?")])
        for _ in range(3):
            await link_to(alice, conversation)
        page = await open_page("/settings/links", client=alice)

        await page.get_by_role("button", name="Revoke the link to “Fjords”").first.click()
        await expect(page.get_by_text("Works", exact=True)).to_have_count(2)
        await page.get_by_role("button", name="Revoke all").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke all").click()
        await expect(page.get_by_text("Revoked", exact=True)).to_have_count(3)
        assert {each["state"] for each in await (await alice.get("/links")).json()} == {"revoked"}


class TestPage:
    async def test_shows_markdown_safely_and_page_by_page(
        self, alice: HttpClient, open_page: OpenPage, constants: Any
    ) -> None:
        constants.setattr("chatvault.links.snapshot.PART_LENGTH", 2)
        said = [
            message("**question**"),
            message(f"**answer** {HOSTILE}", "assistant"),
            message("the last"),
        ]
        made = await link_to(alice, await begin(alice, title="Fjords", messages=said))

        reader = await open_page(made["path"], viewport={"width": 320, "height": 640})

        await expect(reader.locator("strong", has_text="answer")).to_be_visible()
        await expect(reader.get_by_text("**question**")).to_be_visible()
        assert await reader.locator("article img").count() == 0
        assert await reader.locator("a[href^='javascript']").count() == 0
        await reader.get_by_role("button", name="Load more").click()
        await expect(reader.get_by_text("the last")).to_be_visible()
        assert await violations(reader) == []

    async def test_lets_who_is_signed_in_copy(
        self, alice: HttpClient, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        made = await link_to(
            alice, await begin(alice, title="Fjords", messages=[message("Which fjord?")])
        )
        reader = await open_page(made["path"], client=await sign_in("bob"))

        await reader.get_by_role("button", name="Copy to my conversations").click()

        await reader.wait_for_url("**/c/*")
        await expect(reader.get_by_role("main").get_by_text("Which fjord?")).to_be_visible()

    async def test_leads_to_sign_in_if_it_follows_the_conversation(
        self, alice: HttpClient, open_page: OpenPage, sign_in: SignIn
    ) -> None:
        await sign_in("bob")
        conversation = await begin(alice, title="Fjords", messages=[message("Which fjord?")])
        made = await link_to(alice, conversation, mode="live")
        reader = await open_page(made["path"])

        await reader.get_by_role("link", name="Sign in").click()
        await reader.get_by_label("Username").fill("bob")
        await reader.get_by_label("Password", exact=True).fill(PASSWORD)
        await reader.get_by_role("button", name="Sign in").click()

        await expect(reader.get_by_text("Which fjord?")).to_be_visible()
        await alice.post(f"/conversations/{conversation['id']}/messages", json=message("And then?"))
        await reader.reload()
        await expect(reader.get_by_text("And then?")).to_be_visible()
