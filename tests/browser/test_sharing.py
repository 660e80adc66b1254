"""Conversations shared with people on the page: given, listed, opened as a guest, ended."""

from typing import Any

from playwright.async_api import Page, expect

from conftest import HttpClient
from support.browsing import OpenPage, ask, violations
from support.factories import begin, message
from support.granting import at, grant, revoke

SAID = [message("Which fjord first?", id="q"), message("Geiranger.", "assistant", id="a")]


async def open_dialog(page: Page) -> Any:
    """Open the dialog of sharing from the menu of the thread."""
    await page.get_by_role("main").get_by_role("button", name="Actions for Fjords").click()
    await page.get_by_role("menuitem", name="Share").click()
    return page.get_by_role("dialog")


class TestDialog:
    async def test_gives_changes_and_ends_access(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage, database: Any
    ) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        page = await open_page(f"/c/{made['id']}", client=alice)
        dialog = await open_dialog(page)
        await expect(dialog.get_by_text("Nobody but you.")).to_be_visible()
        await dialog.get_by_label("Username").fill("nobody-here")
        await dialog.get_by_role("button", name="Share", exact=True).click()
        await expect(dialog.get_by_text("There is nobody with this name")).to_be_visible()

        await dialog.get_by_label("Username").fill("bob")
        await dialog.get_by_role("combobox", name="Role", exact=True).select_option("Commenter")
        await dialog.get_by_label("Access lasts").select_option("7 days")
        await dialog.get_by_role("button", name="Share", exact=True).click()
        role = dialog.get_by_label("Role of bob")
        await expect(role).to_have_value("commenter")
        assert await violations(page) == []
        await role.select_option("Editor")
        await expect(role).to_be_enabled()
        stored = await database.grants.find_one({})
        assert stored["role"] == "editor"
        assert (stored["expires_at"] - stored["at"]).days in {6, 7}
        await dialog.get_by_role("button", name="Close").click()

        await page.get_by_role("button", name="Shared with 1 person").click()
        await page.get_by_role("button", name="End access of bob").click()
        await expect(page.get_by_text("Nobody but you.")).to_be_visible()
        await page.get_by_role("button", name="Close", exact=True).click()
        await expect(page.get_by_role("button", name="Shared with")).to_have_count(0)
        assert await database.grants.count_documents({}) == 0


class TestGuest:
    async def test_is_offered_what_the_role_allows(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage
    ) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        await grant(alice, made, "bob")
        page = await open_page("/library/shared", client=bob)
        row = page.get_by_role("row").filter(has_text="Fjords")
        await expect(row).to_contain_text("alice")
        await expect(row).to_contain_text("Viewer")
        await page.get_by_role("link", name="Fjords").click()

        await expect(page.get_by_text("Of alice. You can read it.")).to_be_visible()
        await expect(page.get_by_role("article", name="alice")).to_be_visible()
        await expect(page.get_by_label("Message", exact=True)).to_have_count(0)
        for name in ("Edit", "Delete", "Answer again", "Write a note", "What would be sent"):
            await expect(page.get_by_role("button", name=name)).to_have_count(0)
        await page.get_by_role("button", name="Actions for Fjords").click()
        await expect(page.get_by_role("menuitem")).to_have_count(1)
        await page.keyboard.press("Escape")
        nav = page.get_by_role("navigation", name="Conversations")
        await expect(nav.get_by_title("Fjords")).to_have_count(0)

        await grant(alice, made, "bob", "editor")
        await page.reload()
        await ask(page, "Lysefjord is nicer")
        await expect(page.get_by_role("log").get_by_text("Lysefjord is nicer")).to_be_visible()
        hers = await open_page(f"/c/{made['id']}", client=alice)
        await expect(hers.get_by_role("article", name="bob")).to_contain_text("Lysefjord")

        await page.get_by_label("Message", exact=True).fill("Too late")
        await revoke(alice, made, "bob")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("You have no access to this conversation")).to_be_visible()
        # The page may learn of the end before Enter or by it; the words stay in either case.
        await page.wait_for_function(
            "document.body.innerText.includes('Too late') ||"
            " [...document.querySelectorAll('textarea')].some(each => each.value === 'Too late')"
        )
        stored = await (await alice.get(at(made))).json()
        assert [each["content"] for each in stored["messages"]][2:] == ["Lysefjord is nicer"]

    async def test_may_leave(self, alice: HttpClient, bob: HttpClient, open_page: OpenPage) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        await grant(alice, made, "bob", "commenter")
        page = await open_page(
            f"/c/{made['id']}", client=bob, viewport={"width": 320, "height": 640}
        )
        await page.get_by_role("button", name="Leave").click()
        await page.get_by_role("dialog").get_by_role("button", name="Leave").click()

        await expect(page.get_by_text("Nobody shares a conversation with you")).to_be_visible()
        assert (await bob.get(at(made))).status == 404
