"""Groups on the page: made, filled, shared with, left; and guests who may ask agents."""

from typing import Any

from playwright.async_api import expect

from conftest import HttpClient
from support.browsing import OpenPage, ask, submit, violations
from support.factories import begin, message
from support.fake_model import FakeModel
from support.granting import at, grant
from support.grouping import found_group, share_with

SAID = [message("Which fjord first?", id="q"), message("Geiranger.", "assistant", id="a")]


class TestSettings:
    async def test_make_a_group_with_members_and_delete_it(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage, database: Any
    ) -> None:
        page = await open_page("/settings/groups", client=alice)
        await page.get_by_label("Name of the new group").fill("Kitchen")
        await submit(page, "Make a group")
        dialog = page.get_by_role("dialog", name="Kitchen")
        await dialog.get_by_label("Username").fill("nobody-here")
        await submit(page, "Add")
        await expect(dialog.get_by_text("There is nobody with this name")).to_be_visible()
        await dialog.get_by_label("Username").fill("bob")
        await submit(page, "Add")
        role = dialog.get_by_label("Role of bob")
        await expect(role).to_have_value("member")
        assert await violations(page) == []
        await role.select_option("Manager")
        await expect(role).to_be_enabled()
        [group] = (await (await bob.get("/groups")).json())["groups"]
        assert (group["name"], group["role"]) == ("Kitchen", "manager")

        await dialog.get_by_role("button", name="Remove bob").click()
        await expect(role).to_have_count(0)
        await dialog.get_by_label("Name of the group").fill("Cellar")
        await dialog.get_by_role("button", name="Rename").click()
        cellar = page.get_by_role("dialog", name="Cellar")
        await cellar.get_by_role("button", name="Delete").click()
        await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("You are in no group.")).to_be_visible()
        assert await database.groups.count_documents({}) == 0


class TestSharing:
    async def test_with_a_group_that_may_ask_assistants(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage, database: Any
    ) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        await found_group(alice, "bob", name="Kitchen")
        page = await open_page(f"/c/{made['id']}", client=alice)
        await page.get_by_role("main").get_by_role("button", name="Actions for Fjords").click()
        await page.get_by_role("menuitem", name="Share").click()
        part = page.get_by_role("dialog").get_by_role("region", name="Groups")
        await part.get_by_role("combobox", name="Role", exact=True).select_option("Editor")
        await part.get_by_label("Access lasts").select_option("7 days")
        await part.get_by_role("switch", name="May ask assistants").check()
        await part.get_by_role("button", name="Share with the group").click()
        asks = part.get_by_role("switch", name="Kitchen may ask assistants")
        await expect(asks).to_be_checked()
        assert await violations(page) == []
        stored = await database.grants.find_one({})
        assert (stored["role"], stored["agents"]) == ("editor", True)

        await asks.uncheck()
        await expect(asks).to_be_enabled()
        assert (await database.grants.find_one({}))["agents"] is False
        await part.get_by_role("button", name="End access of Kitchen").click()
        await expect(part.get_by_text("No group has access.")).to_be_visible()
        assert await database.grants.count_documents({}) == 0


class TestGuest:
    async def test_is_answered_only_if_the_grant_says_so(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage, fake_model: FakeModel
    ) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        await grant(alice, made, "bob", "editor")
        page = await open_page(f"/c/{made['id']}", client=bob)
        await expect(page.get_by_text("The assistant does not answer you here")).to_be_visible()

        await grant(alice, made, "bob", "editor", agents=True)
        fake_model.say("Then Sogne.")
        await page.reload()
        await expect(page.get_by_text("The assistant answers you here")).to_be_visible()
        await ask(page, "And second?")
        await expect(page.get_by_role("log").get_by_text("Then Sogne.")).to_be_visible()
        stored = await (await alice.get(at(made))).json()
        said = [each["content"] for each in stored["messages"]][2:]
        assert said == ["And second?", "Then Sogne."]

    async def test_leaves_what_came_by_a_group_with_the_group(
        self, alice: HttpClient, bob: HttpClient, open_page: OpenPage
    ) -> None:
        made = await begin(alice, title="Fjords", messages=SAID)
        await share_with(alice, made, await found_group(alice, "bob", name="Kitchen"))
        page = await open_page(f"/c/{made['id']}", client=bob)
        dialog = page.get_by_role("dialog")
        await page.get_by_role("button", name="Leave").click()
        await dialog.get_by_role("button", name="Leave").click()
        await expect(dialog.get_by_text("You have it by a group")).to_be_visible()

        await page.goto("/settings/groups")
        await page.get_by_role("button", name="Members of Kitchen").click()
        await expect(dialog.get_by_role("listitem")).to_have_count(2)
        for name in ("Add", "Rename", "Delete", "Remove alice"):
            await expect(dialog.get_by_role("button", name=name)).to_have_count(0)
        await dialog.get_by_role("button", name="Close").click()
        await page.get_by_role("button", name="Leave Kitchen").click()
        await dialog.get_by_role("button", name="Leave").click()
        await expect(page.get_by_text("You are in no group.")).to_be_visible()
        assert (await bob.get(at(made))).status == 404
